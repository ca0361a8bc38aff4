"""The devices of which each has a kernel here, and runs it."""

import torch

from relustat.ops import library

DEVICES = ["cpu"]
if torch.cuda.is_available() and "CUDA" in library.build_info()["kernels"]:
    DEVICES.append("cuda")
