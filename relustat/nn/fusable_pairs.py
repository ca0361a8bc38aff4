"""Which ReLUs of a model hand their output to a pool, and to nothing else."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from torch import nn

from relustat._hooks import HookDicts, hook_dicts

from .source_calls import HandOver, Site, follow, source_calls, unread_methods

# What returns memory of its own: nobody else sees it if a ReLU writes over it.
_FRESH: frozenset[type[nn.Module]] = frozenset(
    {
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
        *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm),
    }
)


class Neighbours(NamedTuple):
    """The modules around the calls of a ReLU in one line.

    Attributes:
        pools: those behind it.
        is_fresh: whether nothing else sees what an in-place ReLU writes over there.
        producer_hooks: those of the modules before it, which may keep what they gave.
    """

    pools: tuple[nn.Module, ...]
    is_fresh: bool
    producer_hooks: tuple[HookDicts, ...]

    def joined(self, other: Neighbours) -> Neighbours:
        """Those of two calls in one line."""
        pools = dict.fromkeys((*self.pools, *other.pools))
        hooks = *self.producer_hooks, *other.producer_hooks
        return Neighbours(tuple(pools), self.is_fresh and other.is_fresh, hooks)


class Pairs(NamedTuple):
    """What :func:`find_pairs` finds.

    Attributes:
        sequentials: the ``nn.Sequential`` that hold a ReLU and a pool right behind it.
        neighbours: of each ReLU that another ``forward`` hands to a pool, by the lines of its calls.
        why_not: of each pool with a call that is not behind such a ReLU, the reason.
    """

    sequentials: list[nn.Sequential]
    neighbours: dict[nn.Module, dict[Site, Neighbours]]
    why_not: dict[nn.Module, str]


def call_site() -> Site:
    """The line that called the module whose forward asks."""
    frame = sys._getframe(2)
    # PyTorch's way from a module to its forward.
    while frame.f_back is not None and frame.f_globals.get("__name__") == nn.Module.__module__:
        frame = frame.f_back
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name, frame.f_lineno


def is_fresh(module: object) -> bool:
    """Whether a module is one of PyTorch's that return memory of their own."""
    return type(module) in _FRESH and "forward" not in module.__dict__


def runs_in_order(module: nn.Module) -> bool:
    """Whether a module is an ``nn.Sequential`` with PyTorch's own ``forward``."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def find_pairs(
    model: nn.Module, relus: Collection[nn.Module], pools: Collection[nn.Module]
) -> Pairs:
    """Looks for pairs of a ReLU and a pool, in the model's structure and its source.

    Args:
        model: nothing of it is run.
        relus, pools: modules of the model.
    """
    finder = _Finder(relus, pools)
    for module in model.modules():
        if runs_in_order(module):
            finder.look_into_sequential(module)  # type: ignore[arg-type]
        else:
            finder.look_into_source(module)
    for pool in pools:
        if pool not in finder.seen:
            finder.why_not[pool] = _why_unseen(pool, model)
    return finder.pairs


class _Finder:
    def __init__(self, relus: Collection[nn.Module], pools: Collection[nn.Module]) -> None:
        self.relus = relus
        self.pools = pools
        self.seen: set[nn.Module] = set()
        self.why_not: dict[nn.Module, str] = {}
        self.pairs = Pairs([], {}, self.why_not)

    def look_into_sequential(self, sequential: nn.Sequential) -> None:
        children = list(sequential)
        for index, pool in enumerate(children):
            if pool not in self.pools:
                continue
            self.seen.add(pool)
            relu = children[index - 1] if index > 0 else None
            if relu not in self.relus:
                self.why_not.setdefault(pool, _what_is_before(relu))
            elif relu.inplace and not (index > 1 and is_fresh(children[index - 2])):  # type: ignore[union-attr]
                self.why_not.setdefault(pool, _WRITES_OVER)
            if relu in self.relus and sequential not in self.pairs.sequentials:
                self.pairs.sequentials.append(sequential)

    def look_into_source(self, owner: nn.Module) -> None:
        for call in source_calls(owner):
            pool = follow(owner, call.callee)
            if not isinstance(pool, nn.Module) or pool not in self.pools:
                continue
            self.seen.add(pool)
            if call.hand_over is None:
                self.why_not.setdefault(pool, call.why_not)
            else:
                self.take_hand_over(owner, pool, call.hand_over)

    def take_hand_over(self, owner: nn.Module, pool: nn.Module, hand_over: HandOver) -> None:
        relu = follow(owner, hand_over.giver)
        if not isinstance(relu, nn.Module) or relu not in self.relus:
            self.why_not.setdefault(pool, _what_is_before(relu))
            return
        producer = hand_over.producer and follow(owner, hand_over.producer)
        fresh = is_fresh(producer)
        if relu.inplace and not fresh:
            self.why_not.setdefault(pool, _WRITES_OVER)
        hooks = (hook_dicts(producer),) if fresh else ()  # type: ignore[arg-type]
        neighbours = Neighbours((pool,), fresh, hooks)
        lines = self.pairs.neighbours.setdefault(relu, {})
        known = lines.get(hand_over.site)
        lines[hand_over.site] = known.joined(neighbours) if known else neighbours


_WRITES_OVER = "its ReLU writes over an input that others may see"


def _what_is_before(module: Any) -> str:
    if module is None:
        return "it is the first of its Sequential"
    if isinstance(module, nn.ReLU):
        return "its ReLU is not swapped"
    return f"its input comes from a {type(module).__name__}, not from an nn.ReLU"


def _why_unseen(pool: nn.Module, model: nn.Module) -> str:
    around = [each for each in _around(pool, model)]
    unread = [name for each in around for name in unread_methods(each)]
    if unread:
        return f"the source of {unread[-1]} cannot be read"
    return "no line of a forward calls it by its name"


def _around(module: nn.Module, model: nn.Module) -> Iterator[nn.Module]:
    """The modules that hold a module, from the outermost on."""
    for each in model.modules():
        if each is not module and any(part is module for part in each.modules()):
            yield each
