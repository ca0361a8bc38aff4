"""Which modules of a model are swapped, and why others are not."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import nn

from relustat._messages import align

from .activations import choice_with, computes_relu, gives_squared_relu, other_activation
from .counted_module import CountedModule
from .max_pool import MaxPool1d, MaxPool2d, MaxPool3d
from .module_paths import check_is_module, named_modules
from .relu_max_pool import ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d
from .replacements import (
    SwappedPool,
    SwappedReLU,
    SwappedSequential,
    SwappedUnpool,
    is_active,
    is_swapped,
    replacement,
)
from .source_calls import follow, source_calls
from .swapped_activations import SwappedActivation
from .swapping import POOL_AXES, UNPOOL_AXES, is_swappable

_COUNTS, _POOLS, _UNPOOLS = "counts", "pools by switches", "unpools in order"
_COUNTS_AND_POOLS = "counts and pools by switches"
_EXACT: tuple[type[nn.Module], ...] = (nn.ReLU, *POOL_AXES, *UNPOOL_AXES)


class SwappedModule(NamedTuple):
    """A module that is swapped, or that might be expected to be.

    Attributes:
        path: its path in the model; "" is the model itself.
        was: the name of its class.
        now: what it does: "counts", "pools by switches", "counts and pools by switches", "unpools
            in order", or "as before".
        why_not: why it is not swapped; empty if it is.
        one_pass_with: the paths of the pools behind a ReLU, or of the ReLUs before a pool, with
            which it runs in one pass: see ``fuse`` of :func:`swap`.
        why_two_passes: why a pool does not always do so; empty if ``fuse`` was not asked for.
    """

    path: str
    was: str
    now: str
    why_not: str
    one_pass_with: tuple[str, ...] = ()
    why_two_passes: str = ""


class SwappedModules(list[SwappedModule]):
    """A list that prints as a table."""

    def __str__(self) -> str:
        if not self:
            return "no activation and no pool"
        table = [["module", "class", "now", "why not swapped"]]
        table += [[each.path or "(model)", *each[1:4]] for each in self]
        if any(each.one_pass_with or each.why_two_passes for each in self):
            pairs = [[", ".join(each.one_pass_with), each.why_two_passes] for each in self]
            for row, cells in zip(
                table, [["one pass with", "why two passes"], *pairs], strict=True
            ):
                row += cells
        return "\n".join(align(table))


def swapped(model: nn.Module) -> SwappedModules:
    """The modules of a model that :func:`swap` changed, and activations and pools that it left.

    ReLUs that are functions are in no module, and so not in the list.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU6(), torch.nn.MaxPool2d(2))
        >>> print(relustat.swapped(relustat.swap(model, pools=False)))
        module      class        now  why not swapped
        0            ReLU     counts
        1           ReLU6  as before  activations='relu-like' counts it
        2       MaxPool2d  as before  swap() was not asked to
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.MaxPool2d(2))
        >>> relustat.swapped(relustat.swap(model, fuse=True))[1].one_pass_with
        ('0',)
    """
    check_is_module("swapped", model)
    paths = dict(named_modules(model))
    with_others, why_two_passes = _pairs(paths)
    rows = SwappedModules()
    for module, path in paths.items():
        now, why_not = _state(module)
        if now:
            others = tuple(dict.fromkeys(with_others.get(module, ())))
            why = why_two_passes.get(module, "")
            rows.append(SwappedModule(path, type(module).__name__, now, why_not, others, why))
    return rows


def _pairs(
    paths: dict[nn.Module, str],
) -> tuple[dict[nn.Module, list[str]], dict[nn.Module, str]]:
    """The partners of each module now, and why a pool has two passes."""
    with_others: dict[nn.Module, list[str]] = {}
    why_two_passes: dict[nn.Module, str] = {}
    for module in paths:
        swapped = replacement(module) if is_active(module) else None
        if isinstance(swapped, SwappedPool):
            why_two_passes[module] = swapped.two_passes_where
    for relu, pool, why in _handed_over(paths):
        if pool not in paths:
            continue
        if why:
            why_two_passes[pool] = why
            continue
        with_others.setdefault(relu, []).append(paths[pool])
        with_others.setdefault(pool, []).append(paths[relu])
    return with_others, why_two_passes


def _handed_over(modules: Iterable[nn.Module]) -> Iterator[tuple[nn.Module, nn.Module, str]]:
    """Each ReLU and pool that were found to be one pass, and what keeps them from it now."""
    for owner in modules:
        if is_active(owner, SwappedSequential):
            sequential = replacement(owner)
            assert isinstance(sequential, SwappedSequential)
            children = list(sequential.module)
            for at, (relu, pool) in enumerate(itertools.pairwise(children)):
                if is_active(relu, SwappedReLU) and is_active(pool, SwappedPool):
                    yield relu, pool, sequential.why_two_passes(children, at)
            continue
        for call in source_calls(owner):
            giver = follow(owner, call.hand_over.giver) if call.hand_over else None
            receiver = follow(owner, call.callee)
            if giver is None or receiver is None or not is_active(giver, SwappedReLU):
                continue
            swapped = replacement(giver)
            assert isinstance(swapped, SwappedReLU)
            if call.hand_over and call.site in swapped.hand_overs:
                yield giver, receiver, swapped.why_two_passes(owner, call.hand_over)


def _state(module: nn.Module) -> tuple[str, str]:
    """What a module does, and why it is not swapped; both empty if nobody would expect it."""
    if is_active(module, SwappedSequential):
        return "", ""
    if is_active(module):
        kinds = {SwappedReLU: _COUNTS, SwappedActivation: _COUNTS, SwappedUnpool: _UNPOOLS}
        return kinds.get(type(replacement(module)), _POOLS), ""
    if isinstance(module, (ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d)):
        return _COUNTS_AND_POOLS, "relustat's own class"
    if isinstance(module, CountedModule):
        return _COUNTS, "relustat's own class"
    if isinstance(module, (MaxPool1d, MaxPool2d, MaxPool3d)):
        return _POOLS, "relustat's own class"
    if type(module) in _EXACT:
        is_other = "forward" in module.__dict__ or is_swapped(module)
        return "as before", "its forward was replaced" if is_other else "swap() was not asked to"
    if isinstance(module, _EXACT):
        kind = next(kind for kind in _EXACT if isinstance(module, kind))
        return "as before", f"a subclass of nn.{kind.__name__}"
    if computes_relu(module):
        return "as before", "a ReLU by its arguments only"
    name = other_activation(module) or ("SquaredReLU" if gives_squared_relu(module) else "")
    if not name:
        return "", ""
    if not is_swappable(module):
        return "as before", f"a subclass of nn.{name}"
    if "forward" in module.__dict__:
        return "as before", "its forward was replaced"
    return "as before", f"activations={choice_with(name)!r} counts it"
