"""The ops in plain torch and NumPy: slow, obvious, and nothing compiled.

The tests hold every kernel to these functions. They also count for integer dtypes and for devices
that have no kernel; they copy the input to the host to do so.
"""

from .ops.reference import (
    activation_hash,
    counting_relu,
    counting_relu_,
    max_pool,
    max_unpool,
    max_unpool_backward,
)

__all__ = [
    "activation_hash",
    "counting_relu",
    "counting_relu_",
    "max_pool",
    "max_unpool",
    "max_unpool_backward",
]
