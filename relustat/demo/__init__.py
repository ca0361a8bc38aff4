"""``relustat demo``: a small CNN is trained, and its ReLUs are shown before and after."""

from .labelled_images import LabelledImages, load_images
from .run import make_model

__all__ = ["LabelledImages", "load_images", "make_model"]


def __dir__() -> list[str]:
    return sorted(__all__)
