"""Unit dimensions that the user gives for call sites by patterns of their names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from relustat.ops.counters import UnitDim


def first_fitting(patterns: Iterable[str], name: str) -> str | None:
    """The first of the patterns that fits a call site's name."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def warn_of_unfitting(patterns: Iterable[str], paths: Collection[str]) -> None:
    """Warns of patterns that fit no call site that the modules at ``paths`` can have."""
    for pattern in patterns:
        # What follows the path of a functional call is known when it is made.
        path, _, _ = re.sub(r"_+\d+$", "", pattern).rpartition(".")
        fits = pattern == "" or any(
            fnmatchcase(name, pattern) or fnmatchcase(name, path)
            for name in (*paths, *(re.sub(r"$", ".relu", each) for each in paths))
        )
        if not fits:
            warnings.warn(
                f"watch: unit_dims must name call sites of the model, got {pattern!r}, which fits "
                "none of its modules",
                stacklevel=4,
            )


def described_dim(dim: UnitDim) -> str:
    """A unit dimension in words."""
    if isinstance(dim, tuple):
        return f"dimensions {', '.join(map(str, dim))}"
    return "last dimension" if dim == -1 else f"dimension {dim}"
