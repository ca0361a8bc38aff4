"""What people ask of a network's activations, one small module for each question.

Built on :func:`relustat.watch`, the ops and plain PyTorch. Numbers need torch and NumPy only;
pictures (``plot()``, ``*_grid``) need matplotlib, clusters scikit-learn.
"""

from .deconvnet import deconvnet
from .deconvnet_patches import Patch, deconvnet_grid, deconvnet_patches
from .images import by_sigma, feature_images, filter_images, image_grid
from .layers import layer_outputs
from .strongest import StrongestActivations, strongest_activations
from .switch_inspection import SwitchInspection, inspect_switches

__all__ = [
    "Patch",
    "StrongestActivations",
    "SwitchInspection",
    "by_sigma",
    "deconvnet",
    "deconvnet_grid",
    "deconvnet_patches",
    "feature_images",
    "filter_images",
    "image_grid",
    "inspect_switches",
    "layer_outputs",
    "strongest_activations",
]
