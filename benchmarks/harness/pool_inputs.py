"""What pools are measured on, and how."""

import torch

SHAPES = {"55": (16, 64, 55, 55), "112": (16, 64, 112, 112)}
# Kernel, stride, padding; the last two are the generic path.
GEOMETRIES = {
    "k2s2": (2, 2, 0),
    "k3s2": (3, 2, 0),
    "k3s2p1": (3, 2, 1),
    "k5s3": (5, 3, 0),
    "k5s3p2": (5, 3, 2),
}
MOST_USED = ("k2s2", "k3s2")
LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def pool_input(size, dtype="float32", layout="nchw"):
    """Standard normal."""
    torch.manual_seed(0)
    x = torch.randn(SHAPES[size]).to(getattr(torch, dtype))
    return x.contiguous(memory_format=LAYOUTS[layout])


def described(size, dtype, layout, geometry):
    return {
        "size": size,
        "elements": torch.Size(SHAPES[size]).numel(),
        "dtype": dtype,
        "layout": layout,
        "geometry": geometry,
    }
