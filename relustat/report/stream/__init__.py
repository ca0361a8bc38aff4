"""A report that is written again and again while it grows, to be read meanwhile."""

from .json_lines import read_records
from .stream import Stream

__all__ = ["Stream", "read_records"]
