"""Which ReLUs of a model hand their output to a pool, and to nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from torch import nn

from .source_calls import HandOver, Site, SourceCall, follow, source_calls, unread_methods

# What returns memory of its own: nobody else sees it if a ReLU writes over it.
_FRESH: frozenset[type[nn.Module]] = frozenset(
    {
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
        *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm),
    }
)
WRITES_OVER = "its ReLU writes over an input that others may see"


class Pairs(NamedTuple):
    """What :func:`find_pairs` finds.

    Attributes:
        sequentials: the ``nn.Sequential`` that hold a ReLU and a pool right behind it.
        hand_overs: of each ReLU whose output another method gives to a pool, by its lines.
        why_not: of each pool with a call that is not behind such a ReLU, the reason.
    """

    sequentials: list[nn.Sequential]
    hand_overs: dict[nn.Module, dict[Site, HandOver]]
    why_not: dict[nn.Module, str]


def is_fresh(module: object) -> bool:
    """Whether a module is one of PyTorch's that return memory of their own."""
    return type(module) in _FRESH and "forward" not in module.__dict__


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
        # A subclass may have a forward of its own.
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            finder.look_into_sequential(module)
        else:
            for call in source_calls(module):
                finder.look_at_call(module, call)
    for pool in pools:
        if pool not in finder.seen:
            finder.pairs.why_not[pool] = _why_unseen(pool, model)
    return finder.pairs


class _Finder:
    def __init__(self, relus: Collection[nn.Module], pools: Collection[nn.Module]) -> None:
        self.relus = relus
        self.pools = pools
        self.seen: set[nn.Module] = set()
        self.pairs = Pairs([], {}, {})

    def look_into_sequential(self, sequential: nn.Sequential) -> None:
        children: list[nn.Module | None] = [None, None, *sequential]
        has_pair = False
        for producer, relu, pool in zip(children, children[1:], children[2:], strict=False):
            if pool in self.pools:
                assert pool is not None
                self.seen.add(pool)
                has_pair |= relu in self.relus
                self.note(pool, self.why_not(relu, producer))
        if has_pair:
            self.pairs.sequentials.append(sequential)

    def look_at_call(self, owner: nn.Module, call: SourceCall) -> None:
        pool = follow(owner, call.callee)
        if pool is None or pool not in self.pools:
            return
        self.seen.add(pool)
        if call.hand_over is None or call.site is None:
            self.note(pool, call.why_not)
            return
        relu = follow(owner, call.hand_over.giver)
        self.note(pool, self.why_not(relu, follow(owner, call.hand_over.producer or ())))
        if relu is not None and relu in self.relus:
            self.pairs.hand_overs.setdefault(relu, {})[call.site] = call.hand_over

    def why_not(self, relu: nn.Module | None, producer: nn.Module | None) -> str:
        if relu not in self.relus:
            return _what_is_before(relu)
        return WRITES_OVER if getattr(relu, "inplace", False) and not is_fresh(producer) else ""

    def note(self, pool: nn.Module, why_not: str) -> None:
        if why_not:
            self.pairs.why_not.setdefault(pool, why_not)


def _what_is_before(module: nn.Module | None) -> str:
    if module is None:
        return "no module is right before it"
    if isinstance(module, nn.ReLU):
        return "its ReLU is not swapped"
    return f"its input comes from {type(module).__name__}, not from an nn.ReLU"


def _why_unseen(pool: nn.Module, model: nn.Module) -> str:
    around = [
        each
        for each in model.modules()
        if each is not pool and any(part is pool for part in each.modules())
    ]
    unread = [name for each in around for name in unread_methods(each)]
    if unread:
        return f"the source of {unread[-1]} cannot be read"
    return "no line of a method calls it by its name"
