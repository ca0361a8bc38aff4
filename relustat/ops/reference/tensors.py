"""Tensors as NumPy arrays, and outputs of the memory format that PyTorch gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from relustat._torch_internals import suggest_memory_format


def numpy_of(x: Tensor) -> npt.NDArray[Any]:
    """The values on the host; 16-bit values in float32, which holds them exactly."""
    x = x.detach().cpu().resolve_neg()
    return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).contiguous().numpy()


def empty_like(x: Tensor, sizes: Sequence[int], axes: int) -> Tensor:
    """An empty tensor of other sizes, in the memory format of the output of ``nn.MaxPool*d``."""
    is_batched_image = axes > 1 and x.dim() == axes + 2
    memory_format = suggest_memory_format(x) if is_batched_image else torch.contiguous_format
    return torch.empty(tuple(sizes), dtype=x.dtype, device=x.device, memory_format=memory_format)
