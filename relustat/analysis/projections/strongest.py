"""The strongest activations of units over a data set, and their samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relustat._checks import as_integer
from relustat.analysis.model_run.batches import batches
from relustat.analysis.model_run.layer_calls import LayerCalls
from relustat.analysis.model_run.selection import check_samples, check_unit


@dataclasses.dataclass(frozen=True)
class StrongestActivations:
    """The result of :func:`strongest_activations`: strongest first, each sample once for a unit.

    Attributes:
        layer, units: the arguments.
        values: [units, k], of the layer's dtype.
        samples: int64 [units, k], counted through the whole loader.
        positions: int64 [units, k, axes of the map], in the unit's map.
        inputs: [units, k, *input], the samples.
    """

    layer: str
    units: tuple[int, ...]
    values: Tensor
    samples: Tensor
    positions: Tensor
    inputs: Tensor


def strongest_activations(
    model: nn.Module,
    loader: Iterable[Any],
    layer: str,
    units: Iterable[int] | Tensor,
    k: int = 9,
) -> StrongestActivations:
    """The ``k`` samples with the strongest activations of units of a layer, and their positions.

    Only these samples are kept in memory. Among equal activations the earlier sample is taken, and
    in one map the first position in row-major order. NaN counts as the weakest activation.

    Args:
        model: in evaluation mode.
        loader: gives inputs [N, C, ...], or tuples that begin with them; all of one size.
        layer: a module's path, or a functional ReLU's name as :func:`relustat.watch` gives it.
        units: of the layer's output, [N, units, ...].
        k: number of samples for each unit; fewer if the loader gives fewer.

    Raises:
        ValueError: if a module is in training mode, the layer or a unit is unknown, no unit or
            sample is given, inputs differ in size, the layer's output has not one entry for each
            sample, or ``k`` is not a positive integer.
        TypeError: if the loader gives no tensors, or ``units`` are not integers.

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
    k = as_integer(f"{op}: k", k)
    if k < 1:
        raise ValueError(f"{op}: k must be positive, got {k}")
    units = _checked_units(op, units)
    calls = LayerCalls(op, model, [layer])
    best: StrongestActivations | None = None
    seen = 0
    for x in batches(op, loader):
        if best is not None and x.shape[1:] != best.inputs.shape[2:]:
            raise ValueError(
                f"{op}: inputs must be of one size, got {list(x.shape[1:])} after "
                f"{list(best.inputs.shape[2:])}"
            )
        with torch.no_grad():
            output = calls.run(x)[layer]
        check_samples(op, layer, output, len(x))
        for unit in units:
            check_unit(op, layer, output, unit)
        found = _strongest(_of_batch(output[:, list(units)], x, layer, units, seen), k)
        best = found if best is None else _strongest(_joined(best, found), k)
        seen += len(x)
    assert best is not None
    return best


def _checked_units(op: str, units: Any) -> tuple[int, ...]:
    try:
        indices = tuple(as_integer(f"{op}: unit", unit, TypeError) for unit in units)
    except TypeError:
        raise TypeError(f"{op}: units must be a list of integers, got {units!r}") from None
    if not indices:
        raise ValueError(f"{op}: units must name at least one, got none")
    return indices


def _of_batch(
    maps: Tensor, x: Tensor, layer: str, units: Sequence[int], first_sample: int
) -> StrongestActivations:
    flat = maps.flatten(2) if maps.ndim > 2 else maps[..., None]
    positions = flat.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf).argmax(2)
    values = flat.gather(2, positions[..., None]).squeeze(2)
    size = maps.shape[2:]
    positions = (
        torch.stack(torch.unravel_index(positions, size), -1)
        if size
        else positions[..., None][..., :0]
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
    # In increasing order NaN comes last.
    _, order = found.values.double().neg().sort(dim=1, stable=True)
    rows = torch.arange(len(found.units), device=order.device)[:, None]
    kept = order[:, :k]
    return dataclasses.replace(
        found,
        values=found.values[rows, kept],
        samples=found.samples[rows, kept],
        positions=found.positions[rows, kept],
        inputs=found.inputs[rows, kept],
    )
