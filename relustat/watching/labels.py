"""Counts by label: the group to which each sample of a call belongs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import inline_in_graph, trace_time_attribute
from relustat._torch_internals import is_in_backward
from relustat.ops.counters import FoundDim
from relustat.ops.counting_relu import counting_relu
from relustat.ops.reference.checks import sizes_of_positions
from relustat.stats.counter_layout import EVERY, TICKS

from .masks import dims_of_units
from .site import Site, site_of

LabelsOf = Callable[[str, Tensor], Tensor | None]
"""Gives the labels of a call, from its call site's name and its input."""


def check_groups(groups: object) -> None:
    """Raises a TypeError if this cannot give labels."""
    if groups is not None and not callable(groups):
        raise TypeError(
            "watch: groups must be a function of a call site's name and its input that returns "
            f"integers or None, got {type(groups).__name__}"
        )


_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

# In a graph: the labels are known only when it runs. The counters are those of all labels. That the
# op changes them keeps it in the graph, and before the call is counted.
_library = torch.library.Library("relustat", "FRAGMENT")
_library.define(
    "count_by_label(Tensor x, Tensor labels, Tensor? mask, Tensor(a!) counters, int[] unit_dims, "
    "Tensor number) -> ()",
    tags=(torch.Tag.pt2_compliant_tag,),
)


@inline_in_graph
def count_by_label(
    labels_of: LabelsOf, site: Site, x: Tensor, unit_dim: FoundDim, mask: Tensor | None
) -> None:
    """Counts a call for the group of each label, if the call itself will be counted.

    Raises:
        TypeError: if the labels are no tensor of integers.
        ValueError: if they do not fit the input.
    """
    labels = labels_of(site.name, x)
    if labels is None:
        return
    unit_dims = dims_of_units(x, unit_dim)
    _check(site.name, labels, x, unit_dims)
    counters = site.counters
    words, _ = counters.tensors_for(counters.units_of(x, unit_dim)[1], x.device)
    if torch.compiler.is_dynamo_compiling():
        op: Any = torch.ops.relustat.count_by_label.default
        number = trace_time_attribute(site.traced, "number")
        op(x, labels, mask, words, list(unit_dims), number)
    else:
        _count(x, labels, mask, words, unit_dims, site)


@inline_in_graph
def _check(site: str, labels: object, x: Tensor, unit_dims: tuple[int, ...]) -> None:
    if not isinstance(labels, Tensor) or labels.dtype not in _INTEGERS:
        what = labels.dtype if isinstance(labels, Tensor) else repr(labels)
        raise TypeError(
            f"watch: groups must be a tensor of integers or None, got {what} for {site!r}"
        )
    positions = sizes_of_positions(x, unit_dims)
    if labels.device != x.device or not (
        list(labels.shape) == positions or _are_of_samples(labels, x, unit_dims)
    ):
        raise ValueError(
            f"watch: groups must be one label for each sample, or for each position, {positions}, "
            f"on the input's device, got {list(labels.shape)} on {labels.device} for {site!r}, "
            f"whose input is {list(x.shape)} on {x.device}"
        )


@inline_in_graph
def _are_of_samples(labels: Tensor, x: Tensor, unit_dims: Sequence[int]) -> bool:
    """Whether there is a label for each index of the first dimension, which has no units."""
    has_samples = x.dim() > 0 and 0 not in [dim % x.dim() for dim in unit_dims]
    return has_samples and list(labels.shape) == [x.size(0)]


def _count(
    x: Tensor,
    labels: Tensor,
    mask: Tensor | None,
    counters: Tensor,
    unit_dims: Sequence[int],
    site: Site,
) -> None:
    if is_in_backward():  # a recomputation
        return
    every, ticks = counters[[EVERY, TICKS]].tolist()
    if every == 0 or ticks % every:
        return
    found = labels.unique().tolist()
    are_of_samples = _are_of_samples(labels, x, unit_dims)
    for label in found:
        part, its_mask = x, mask
        if len(found) > 1 and are_of_samples:
            # A copy of a group's samples takes less than a pass over all samples for each group.
            samples = (labels == label).nonzero().squeeze(1)
            part = x.index_select(0, samples)
            its_mask = _of_samples(mask, x, unit_dims, samples)
        elif len(found) > 1:
            its_mask = labels == label if mask is None else (labels == label) & mask
        counting_relu(part, site.counters_of(label), unit_dim=tuple(unit_dims), mask=its_mask)


def _of_samples(
    mask: Tensor | None, x: Tensor, unit_dims: Sequence[int], samples: Tensor
) -> Tensor | None:
    if mask is None:
        return None
    return mask.expand(sizes_of_positions(x, unit_dims)).index_select(0, samples)


def _count_in_graph(
    x: Tensor,
    labels: Tensor,
    mask: Tensor | None,
    counters: Tensor,
    unit_dims: Sequence[int],
    number: Tensor,
) -> None:
    _count(x, labels, mask, counters, unit_dims, site_of(int(number)))


_library.impl("count_by_label", _count_in_graph, "CompositeExplicitAutograd")
torch.library.register_fake("relustat::count_by_label", lambda *_: None)
