"""The strongest activations of units over a data set, and the samples that caused them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .batches import batches
from .layers import LayerCalls
from .selection import check_unit


@dataclasses.dataclass(frozen=True)
class StrongestActivations:
    """What :func:`strongest_activations` found; strongest first, each sample once for a unit.

    Attributes:
        layer, units: what was asked for.
        values: [units, k], of the layer's dtype.
        samples: int64 [units, k], counted through the whole loader.
        positions: int64 [units, k, axes of the map]: where in the unit's map.
        inputs: [units, k, *input]: the samples themselves.
    """

    layer: str
    units: tuple[int, ...]
    values: Tensor
    samples: Tensor
    positions: Tensor
    inputs: Tensor


def strongest_activations(
    model: nn.Module, loader: Iterable[Any], layer: str, units: Sequence[int], k: int = 9
) -> StrongestActivations:
    """The ``k`` samples in which units of a layer are active most strongly, and where.

    Only these samples are kept. Of equal activations the earlier sample is taken, and in one map
    the first in row-major order.

    Args:
        model: in evaluation mode.
        loader: gives inputs [N, C, ...], or tuples that begin with them; all of one size.
        layer: a module's path, or a functional ReLU's name as :func:`relustat.watch` gives it.
        units: of the layer's output, [N, units, ...].
        k: how many; fewer come out where the loader gives fewer samples.

    Raises:
        ValueError: if a module is in training mode, layer or a unit is unknown, no unit or sample
            is given, or ``k`` is not positive.
        TypeError: if the loader gives no tensors.

    Source: Zeiler and Fergus 2014, figure 2.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Conv2d(3, 8, 3).eval()
        >>> loader = [torch.randn(4, 3, 16, 16) for _ in range(3)]
        >>> found = relustat.analysis.strongest_activations(model, loader, "", [0, 5], k=2)
        >>> found.values.shape, found.positions.shape
        (torch.Size([2, 2]), torch.Size([2, 2, 2]))
    """
    op = "strongest_activations"
    if k < 1:
        raise ValueError(f"{op}: k must be positive, got {k}")
    if not units:
        raise ValueError(f"{op}: units must name at least one, got none")
    calls = LayerCalls(op, model, [layer])
    best: StrongestActivations | None = None
    seen = 0
    for x in batches(op, loader):
        with torch.no_grad():
            output = calls.run(x)[layer]
        for unit in units:
            check_unit(op, layer, output, unit)
        found = _strongest(_of_batch(output[:, list(units)], x, layer, units, seen), k)
        best = found if best is None else _strongest(_joined(best, found), k)
        seen += len(x)
    assert best is not None
    return best


def _of_batch(
    maps: Tensor, x: Tensor, layer: str, units: Sequence[int], first_sample: int
) -> StrongestActivations:
    flat = maps.flatten(2) if maps.ndim > 2 else maps[..., None]
    values, places = flat.max(2)
    size = maps.shape[2:]
    positions = (
        torch.stack(torch.unravel_index(places, size), -1) if size else places[..., None][..., :0]
    )
    samples = torch.arange(first_sample, first_sample + len(x), device=x.device)
    return StrongestActivations(
        layer,
        tuple(units),
        values.T,
        samples.expand(len(units), -1),
        positions.transpose(0, 1),
        x.expand(len(units), *x.shape),
    )


def _joined(one: StrongestActivations, other: StrongestActivations) -> StrongestActivations:
    return StrongestActivations(
        one.layer,
        one.units,
        *(
            torch.cat([getattr(one, name), getattr(other, name)], 1)
            for name in ("values", "samples", "positions", "inputs")
        ),
    )


def _strongest(found: StrongestActivations, k: int) -> StrongestActivations:
    _, order = found.values.sort(dim=1, descending=True, stable=True)
    rows = torch.arange(len(found.units), device=order.device)[:, None]
    kept = order[:, :k]
    return dataclasses.replace(
        found,
        values=found.values[rows, kept],
        samples=found.samples[rows, kept],
        positions=found.positions[rows, kept],
        inputs=found.inputs[rows, kept],
    )
