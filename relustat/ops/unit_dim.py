"""Which dimension of an input has its units."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from relustat._checks import is_integer

UnitDim = int | tuple[int, ...] | Literal["auto"]
FoundDim = int | tuple[int, ...]

# A longer 1-D input is a list of samples rather than one sample's features.
_MOST_UNITS_IN_1D = 65536


def checked_unit_dim(unit_dim: Any) -> UnitDim:
    if isinstance(unit_dim, str) and unit_dim == "auto":
        return "auto"
    if is_integer(unit_dim):
        return int(unit_dim)
    if isinstance(unit_dim, (tuple, list)) and all(map(is_integer, unit_dim)):
        return tuple(map(int, unit_dim))
    raise TypeError(
        f'Counters: unit_dim must be an integer, a tuple of integers or "auto", got {unit_dim!r}'
    )


def units_of(x: Tensor, wanted: UnitDim) -> tuple[FoundDim, int]:
    """What :meth:`Counters.units_of` gives."""
    dims = x.dim()
    if wanted == "auto":
        if dims in (2, 4, 5):
            return 1, x.size(1)
        if dims == 0 or (dims == 1 and x.size(0) > _MOST_UNITS_IN_1D):
            return dims, 1
        return dims - 1, x.size(dims - 1)
    if isinstance(wanted, tuple):
        if len(wanted) != 1:
            return _several(x, wanted)
        wanted = wanted[0]
    if dims == 0:
        return 0, 1
    _check_dim(wanted, dims)
    return wanted % dims, x.size(wanted)


def _check_dim(wanted: int, dims: int) -> None:
    if not -dims <= wanted < dims:
        raise IndexError(
            f"counting_relu: unit_dim must be in [{-dims}, {dims - 1}] for a {dims}-D input, "
            f"got {wanted}"
        )


def _several(x: Tensor, wanted: tuple[int, ...]) -> tuple[FoundDim, int]:
    dims = x.dim()
    if not wanted or not dims:
        return dims, 1
    for dim in wanted:
        _check_dim(dim, dims)
    found = tuple(sorted([dim % dims for dim in wanted]))
    if len(set(found)) < len(found):
        raise ValueError(
            f"counting_relu: unit_dim must name each dimension once, got {wanted} for a {dims}-D "
            "input"
        )
    units = 1
    for dim in found:
        units *= x.size(dim)
    return found, units
