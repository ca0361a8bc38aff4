"""The command ``relustat``, also ``python -m relustat``."""

from .program import main

__all__ = ["main"]
