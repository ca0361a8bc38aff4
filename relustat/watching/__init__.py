"""Counting every ReLU of a model, without a change to the model."""

from .watches import Watch, unwatch, watch

__all__ = ["Watch", "unwatch", "watch"]
