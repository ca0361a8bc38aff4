"""What people ask of a network's activations, one small module for each question.

Built on :func:`relustat.watch`, the ops and plain PyTorch. Numbers need torch and NumPy only;
pictures (``plot()``, ``*_grid``) need matplotlib, clusters scikit-learn.
"""

from .activation_patterns import ActivationPatterns, activation_patterns
from .activation_rates import ActivationRates, Rates, Worst
from .deconvnet import deconvnet
from .deconvnet_patches import Patch, deconvnet_grid, deconvnet_patches
from .gradient_norms import GradientNorms
from .hypercolumn_clusters import hypercolumn_clusters
from .hypercolumns import Hypercolumns, hypercolumns
from .hypercolumns_plot import hypercolumn_clusters_grid
from .images import by_sigma, feature_images, filter_images, image_grid
from .layers import layer_outputs
from .receptive_field import ReceptiveField, receptive_field
from .receptive_field_plot import receptive_field_grid
from .strongest import StrongestActivations, strongest_activations
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
