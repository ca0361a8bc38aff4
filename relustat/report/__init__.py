"""Counts as a table, a data frame, a picture, a page and a file; two reports side by side."""

from .compared_row import ComparedRow
from .comparison import Comparison
from .findings import Finding
from .merge_files import merge_files
from .plots import histogram_grid
from .report import Report
from .row import Row
from .stream import Stream, read_records
from .unit_plots import unit_figure

__all__ = [
    "ComparedRow",
    "Comparison",
    "Finding",
    "Report",
    "Row",
    "Stream",
    "histogram_grid",
    "merge_files",
    "read_records",
    "unit_figure",
]


def __dir__() -> list[str]:
    return sorted(__all__)
