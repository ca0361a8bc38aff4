"""The ops in plain torch and NumPy: slow, obvious, and nothing compiled.

The tests hold every kernel to these functions. They also count for integer dtypes and for devices
that have no kernel; they copy the input to the host to do so.
"""

from .ops.reference import *  # noqa: F403
from .ops.reference import __all__ as __all__


def __dir__() -> list[str]:
    return sorted(__all__)
