"""Counts as a table, a data frame, a picture and a file."""

from .merge_files import merge_files
from .plots import histogram_grid
from .report import Report
from .row import Row

__all__ = ["Report", "Row", "histogram_grid", "merge_files"]
