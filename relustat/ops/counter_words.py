"""The words of counters: how those of two devices add up, and what version 0.1 kept."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from relustat.stats.counter_layout import BLOCKS, CALLS, ELEMENTS, EVERY, TICKS, CounterLayout
from relustat.stats.exact import checked


def check_sums(words: Iterable[Tensor]) -> None:
    """Raises an OverflowError if counters do not add. Other counts are at most the elements."""
    counts = [each[[TICKS, ELEMENTS]].tolist() for each in words]
    for name, parts in zip(("calls", "elements"), zip(*counts, strict=True), strict=True):
        checked(f"Counters: the sum of {name}", sum(parts))


def add_side_by_side(words: Tensor, others: Tensor, units: int) -> None:
    """Adds other counters with as many units, as those of another device."""
    layout = CounterLayout(units, 1, 0)
    since = torch.minimum(words[layout.since_fired], others[layout.since_fired])
    if not words[CALLS]:
        since = others[layout.since_fired]
    elif not others[CALLS]:
        since = words[layout.since_fired].clone()
    words[EVERY + 1 :] += others[EVERY + 1 :]
    words[layout.since_fired] = since


def of_this_version(words: Tensor, layout: CounterLayout) -> Tensor:
    """Words that can be reset. Those of version 0.1 lack blocks and when units last fired."""
    units = layout.units
    if words.numel() != layout.size - units - 2:
        return words.clone() if words.is_inference() else words
    zeros, dead_calls = words[BLOCKS : BLOCKS + 2 * units].split(units)
    histograms = words[BLOCKS + 2 * units :]
    since_fired = torch.where(dead_calls == words[CALLS], dead_calls, 0)
    no_blocks = words.new_zeros(2)
    return torch.cat([words[:BLOCKS], no_blocks, zeros, dead_calls, since_fired, histograms])
