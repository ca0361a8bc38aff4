"""Drop-in modules for PyTorch's, and functions that swap them in and out of a model."""

from .counting_activations import (
    CountingHardtanh,
    CountingLeakyReLU,
    CountingPReLU,
    CountingReLU6,
    CountingSquaredReLU,
    CountingThreshold,
)
from .counting_relu import CountingReLU
from .max_pool import MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from .relu_max_pool import ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d
from .swapped_modules import swapped
from .swapping import swap, unswap

__all__ = [
    "CountingHardtanh",
    "CountingLeakyReLU",
    "CountingPReLU",
    "CountingReLU",
    "CountingReLU6",
    "CountingSquaredReLU",
    "CountingThreshold",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "ReLUMaxPool1d",
    "ReLUMaxPool2d",
    "ReLUMaxPool3d",
    "swap",
    "swapped",
    "unswap",
]


def __dir__() -> list[str]:
    return sorted(__all__)
