"""Analyses of a network's activations, a package for each question.

They use :func:`relustat.watch`, the ops and plain PyTorch. Numbers need torch and NumPy only.
Pictures (``plot()``, ``*_grid``) need matplotlib, and clusters need scikit-learn.
"""

from .gradients.gradient_norms import GradientNorms
from .hypercolumn.clusters import hypercolumn_clusters
from .hypercolumn.hypercolumns import Hypercolumns, hypercolumns
from .hypercolumn.plot import hypercolumn_clusters_grid
from .image_grids import by_sigma, feature_images, filter_images, image_grid
from .model_run.layer_outputs import layer_outputs
from .patterns import ActivationPatterns, activation_patterns
from .projections.deconvnet import deconvnet
from .projections.patches import Patch, deconvnet_grid, deconvnet_patches
from .projections.strongest import StrongestActivations, strongest_activations
from .rates.activation_rates import ActivationRates, Rates, Worst
from .receptive_fields.plot import receptive_field_grid
from .receptive_fields.receptive_field import ReceptiveField, receptive_field
from .switch_inspection import SwitchInspection, inspect_switches

__all__ = [
    "ActivationPatterns",
    "ActivationRates",
    "GradientNorms",
    "Hypercolumns",
    "Patch",
    "Rates",
    "ReceptiveField",
    "StrongestActivations",
    "SwitchInspection",
    "Worst",
    "activation_patterns",
    "by_sigma",
    "deconvnet",
    "deconvnet_grid",
    "deconvnet_patches",
    "feature_images",
    "filter_images",
    "hypercolumn_clusters",
    "hypercolumn_clusters_grid",
    "hypercolumns",
    "image_grid",
    "inspect_switches",
    "layer_outputs",
    "receptive_field",
    "receptive_field_grid",
    "strongest_activations",
]


def __dir__() -> list[str]:
    return sorted(__all__)
