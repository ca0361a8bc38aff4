"""The torch ops, their reference, and what they work on. :mod:`relustat.functional` calls them."""

from .counters import Counters
from .switches import Switches

__all__ = ["Counters", "Switches"]
