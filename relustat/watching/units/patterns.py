"""Unit dimensions that the user gives for call sites by patterns of their names."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from relustat._patterns import fits
from relustat.ops.unit_dim import UnitDim


def first_fitting(patterns: Iterable[str], name: str) -> str | None:
    """The first of the patterns that fits a call site's name."""
    return next((pattern for pattern in patterns if fits(pattern, name)), None)


def warn_of_unfitting(patterns: Iterable[str], paths: Collection[str]) -> None:
    """Warns of patterns for modules that are not there.

    What a functional call is named is known when it is made: of ``decoder.relu`` only ``decoder``
    can be looked for, and of ``relu`` nothing.
    """
    for pattern in patterns:
        path = pattern.rpartition(".")[0]
        if path and not any(
            fnmatchcase(each, pattern) or fnmatchcase(each, path) for each in paths
        ):
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
