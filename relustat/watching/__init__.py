"""Counting every ReLU of a model, without a change to the model."""

from .handle import Watch
from .watches import unwatch, watch

__all__ = ["Watch", "unwatch", "watch"]


def __dir__() -> list[str]:
    return sorted(__all__)
