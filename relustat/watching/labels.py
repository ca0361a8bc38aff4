"""Counts by label: the group to which each sample of a call belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relustat._dynamo import inline_in_graph, trace_time_attribute
from relustat._torch_internals import is_in_backward
from relustat.ops.counters import Counters
from relustat.ops.counting_activation import count_activation
from relustat.ops.counting_relu import counting_relu
from relustat.ops.family import Member, counted_as
from relustat.ops.inputs import describe, is_dense
from relustat.ops.reference.checks import sizes_of_positions
from relustat.stats.counter_layout import EVERY, TICKS

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

# In a graph the labels are known when it runs. The counters are those of all labels: the op says
# that it changes them, so that it stays in the graph, and before the call is counted.
_library = torch.library.Library("relustat", "FRAGMENT")
_library.define(
    "count_by_label(Tensor x, Tensor? output, Tensor labels, Tensor? mask, Tensor(a!) counters, "
    "int[] unit_dims, Tensor number) -> ()",
    tags=(torch.Tag.pt2_compliant_tag,),
)


@inline_in_graph
def labels_for(given: LabelsOf, site: str, x: Tensor, unit_dims: tuple[int, ...]) -> Tensor | None:
    """The labels of one call; None if it has no groups.

    Raises:
        TypeError: if they are no tensor of integers.
        ValueError: if they do not fit the input.
    """
    labels = given(site, x)
    if labels is None:
        return None
    if not is_dense(labels) or labels.dtype not in _INTEGERS:
        raise TypeError(
            f"watch: groups must be a dense tensor of integers or None, got {describe(labels)}, "
            f"for {site!r}"
        )
    positions = sizes_of_positions(x, unit_dims)
    if labels.device != x.device or not (
        list(labels.shape) == positions or _are_of_samples(labels, x, unit_dims)
    ):
        raise ValueError(
            f"watch: groups must be one label for each sample, or for each position, {positions}, "
            f"on the input's device, got {list(labels.shape)} on {labels.device}, for {site!r}, "
            f"whose input is {list(x.shape)} on {x.device}"
        )
    return labels


@inline_in_graph
def _are_of_samples(labels: Tensor, x: Tensor, unit_dims: Sequence[int]) -> bool:
    """Whether there is a label for each index of the first dimension, which has no units."""
    if x.dim() == 0 or any([dim % x.dim() == 0 for dim in unit_dims]):  # noqa: C419
        return False
    return list(labels.shape) == [x.size(0)]


class Part(NamedTuple):
    """What one label has of a call."""

    label: int
    x: Tensor
    output: Tensor | None
    mask: Tensor | None


class Parts:
    """The parts of one call, by label. They are taken before the call, which may be in place.

    Args:
        site: where the call is counted.
        member: what is computed; None: a ReLU.
        x: its input.
        output: its output, of an activation without a knee.
        labels: see :func:`labels_for`.
        mask: that of the call.
        unit_dims: the unit dimensions of the input.
        inplace: whether the call changes the input.
    """

    def __init__(
        self,
        site: Site,
        member: Member | None,
        x: Tensor,
        output: Tensor | None,
        labels: Tensor,
        mask: Tensor | None,
        unit_dims: Sequence[int],
        *,
        inplace: bool,
    ) -> None:
        self.site = site
        self._member = member
        self._unit_dims = tuple(unit_dims)
        counters = site.counters
        words = counters.words_for(counters.units_of(x, self._unit_dims)[1], x.device)
        every, ticks = words[[EVERY, TICKS]].tolist()
        is_counted = every > 0 and ticks % every == 0
        self._parts: list[Part] = []
        if is_counted:
            # The input of a call whose output is there is a copy already.
            is_kept = inplace and output is None
            self._parts += _parted(x.detach(), output, labels, mask, unit_dims, inplace=is_kept)

    def count(self) -> None:
        for label, x, output, mask in self._parts:
            counters = self.site.counters_of(label)
            count_call(self._member, x, output, counters, self._unit_dims, mask)


@inline_in_graph
def count_call(
    member: Member | None,
    x: Tensor,
    output: Tensor | None,
    counters: Counters,
    unit_dim: tuple[int, ...] | None,
    mask: Tensor | None,
) -> None:
    """Counts a call that is computed elsewhere; ``member`` is None of a ReLU."""
    if member is None:
        counting_relu(x, counters, unit_dim=unit_dim, mask=mask)
    else:
        count_activation(x, output, counters, member, unit_dim=unit_dim, mask=mask)


def _parted(
    x: Tensor,
    output: Tensor | None,
    labels: Tensor,
    mask: Tensor | None,
    unit_dims: Sequence[int],
    *,
    inplace: bool,
) -> Iterator[Part]:
    found = labels.unique().tolist()
    are_of_samples = len(found) > 1 and _are_of_samples(labels, x, unit_dims)
    if inplace and not are_of_samples:
        x = x.clone()
    for label in found:
        if len(found) == 1:
            yield Part(label, x, output, mask)
        elif are_of_samples:
            # A copy of a group's samples takes less than a pass over all samples for each group.
            samples = (labels == label).nonzero().squeeze(1)
            positions = sizes_of_positions(x, unit_dims)
            kept = None if mask is None else mask.expand(positions).index_select(0, samples)
            of_output = None if output is None else output.index_select(0, samples)
            yield Part(label, x.index_select(0, samples), of_output, kept)
        else:
            kept = labels == label if mask is None else (labels == label) & mask
            yield Part(label, x, output, kept)


@inline_in_graph
def count_in_graph(
    site: Site,
    x: Tensor,
    output: Tensor | None,
    labels: Tensor,
    mask: Tensor | None,
    unit_dims: tuple[int, ...],
) -> None:
    """Counts the parts of a call in a graph that is traced."""
    counters = site.counters
    words, _ = counters.tensors_for(counters.units_of(x, unit_dims)[1], x.device)
    op: Any = torch.ops.relustat.count_by_label.default
    number = trace_time_attribute(site.traced, "number")
    op(x, output, labels, mask, words, list(unit_dims), number)


def _count_by_label(
    x: Tensor,
    output: Tensor | None,
    labels: Tensor,
    mask: Tensor | None,
    counters: Tensor,  # noqa: ARG001
    unit_dims: Sequence[int],
    number: Tensor,
) -> None:
    if not is_in_backward():  # where it is a recomputation
        site = site_of(int(number))
        member = counted_as(site.counters.activation)
        Parts(site, member, x, output, labels, mask, unit_dims, inplace=False).count()


_library.impl("count_by_label", _count_by_label, "CompositeExplicitAutograd")
torch.library.register_fake("relustat::count_by_label", lambda *_: None)
