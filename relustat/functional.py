"""The ops as functions: thin, checked, differentiable."""

from .ops.counting_activation import count_activation, counting_activation
from .ops.counting_relu import counting_relu, relu_stats
from .ops.inputs import is_countable
from .ops.max_pool import (
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from .ops.relu_max_pool import relu_max_pool1d, relu_max_pool2d, relu_max_pool3d

__all__ = [
    "count_activation",
    "counting_activation",
    "counting_relu",
    "is_countable",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "relu_max_pool1d",
    "relu_max_pool2d",
    "relu_max_pool3d",
    "relu_stats",
]


def __dir__() -> list[str]:
    return sorted(__all__)
