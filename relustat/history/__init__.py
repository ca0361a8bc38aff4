"""Counts by epoch: trends, deaths and revivals of units."""

from .history import History

__all__ = ["History"]
