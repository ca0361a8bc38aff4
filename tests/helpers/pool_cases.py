"""Geometries of pooling, and inputs with ties, NaNs and infinities."""

import itertools

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from oracle import DTYPES

from relustat.functional import max_pool1d, max_pool2d, max_pool3d

OURS = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}

THEIRS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

SIZES = [(7, 11, 37), (4, 5, 70), (3, 3, 3), (1, 1, 1), (2, 1, 5)]

GEOMETRIES = [
    (kernel, stride, padding, dilation, ceil_mode)
    for kernel, stride, padding, dilation, ceil_mode in itertools.product(
        (1, 2, 3, 5), (1, 2, 3, 4), (0, 1, 2), (1, 2), (False, True)
    )
    if padding <= kernel // 2
]


def nasty(shape, dtype, device="cpu"):
    """Few different values, so many ties; NaNs, both zeros, infinities and planes of -inf."""
    x = torch.randint(-3, 4, shape).to(dtype)
    for value in (float("nan"), -0.0, float("inf")):
        x[torch.rand(shape) < 0.08] = value
    x[:, 0] = -float("inf")
    return x.to(device)


def formats(x, axes):
    yield x
    if axes in CHANNELS_LAST and x.dim() == axes + 2:
        yield x.contiguous(memory_format=CHANNELS_LAST[axes])


@st.composite
def poolings(draw):
    axes = draw(st.integers(1, 3))
    per_axis = [
        (
            draw(st.integers(1, 9)),
            draw(st.integers(1, 5)),
            draw(st.integers(0, 4)),
            draw(st.integers(1, 3)),
            draw(st.integers(1, 40 if axes < 3 else 12)),
        )
        for _ in range(axes)
    ]
    kernel, stride, padding, dilation, size = map(list, zip(*per_axis, strict=True))
    padding = [min(p, k // 2) for p, k in zip(padding, kernel, strict=True)]
    geometry = kernel, stride, padding, dilation, draw(st.booleans())
    shape = draw(st.integers(0, 2)), draw(st.integers(1, 5)), *size
    return axes, geometry, shape, draw(st.sampled_from(DTYPES)), draw(st.booleans())
