import sys

import pytest
import torch

from relustat.ops import library

# Every test that takes `device` runs on each; CUDA joins where its kernels are built and can run.
DEVICES = ["cpu"]
if torch.cuda.is_available() and "CUDA" in library.build_info()["kernels"]:
    DEVICES.append("cuda")


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def _same_start():
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    if "torch._dynamo" in sys.modules:
        # Else the limit of recompilations is shared by all tests that compile the same forward.
        torch._dynamo.reset()
