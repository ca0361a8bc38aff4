"""The ops in plain torch and NumPy. :mod:`relustat.reference` is the public name."""

from .activation_hash import activation_hash
from .counting_activation import count_activation, counting_activation, counting_activation_
from .counting_relu import counting_relu, counting_relu_
from .max_pool import max_pool, max_unpool, max_unpool_backward
from .relu_max_pool import relu_max_pool

__all__ = [
    "activation_hash",
    "count_activation",
    "counting_activation",
    "counting_activation_",
    "counting_relu",
    "counting_relu_",
    "max_pool",
    "max_unpool",
    "max_unpool_backward",
    "relu_max_pool",
]
