"""One pass of a model over data, of which every ReLU is counted."""

from .analyzing import analyze

__all__ = ["analyze"]


def __dir__() -> list[str]:
    return sorted(__all__)
