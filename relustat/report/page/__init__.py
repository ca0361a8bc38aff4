"""Reports as pages for a browser."""

from .page import compared_overview, overview, write, write_compared

__all__ = ["compared_overview", "overview", "write", "write_compared"]
