"""Which modules of a model are swapped, and why others are not."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from relustat._messages import align

from .activations import computes_relu, other_activation
from .counting_relu import CountingReLU
from .max_pool import MaxPool1d, MaxPool2d, MaxPool3d
from .module_paths import check_is_module, named_modules
from .swapping import POOL_AXES, SwappedReLU, SwappedUnpool, is_swapped, replacement

_COUNTS, _POOLS, _UNPOOLS = "counts", "pools by switches", "unpools in order"
_EXACT: tuple[type[nn.Module], ...] = (nn.ReLU, *POOL_AXES, nn.MaxUnpool2d)


class SwappedModule(NamedTuple):
    """A module that is swapped, or that might be expected to be.

    Attributes:
        path: its path in the model; "" is the model itself.
        was: the name of its class.
        now: what it does: "counts", "pools by switches", "unpools in order", or "as before".
        why_not: why it is not swapped; empty if it is.
    """

    path: str
    was: str
    now: str
    why_not: str


class SwappedModules(list[SwappedModule]):
    """A list that prints as a table."""

    def __str__(self) -> str:
        if not self:
            return "no activation and no pool"
        rows = [[each.path or "(model)", *each[1:]] for each in self]
        return "\n".join(align([["module", "class", "now", "why not swapped"], *rows]))


def swapped(model: nn.Module) -> SwappedModules:
    """The modules of a model that :func:`swap` changed, and activations and pools that it left.

    ReLUs that are functions are in no module, and so not in the list.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU6(), torch.nn.MaxPool2d(2))
        >>> print(relustat.swapped(relustat.swap(model, pools=False)))
        module      class        now  why not swapped
        0            ReLU     counts
        1           ReLU6  as before  another activation
        2       MaxPool2d  as before  swap() was not asked to
    """
    check_is_module("swapped", model)
    rows = SwappedModules()
    for module, path in named_modules(model):
        now, why_not = _state(module)
        if now:
            rows.append(SwappedModule(path, type(module).__name__, now, why_not))
    return rows


def _state(module: nn.Module) -> tuple[str, str]:
    """What a module does, and why it is not swapped; both empty if nobody would expect it."""
    if is_swapped(module) and replacement(module).is_on():
        kinds = {SwappedReLU: _COUNTS, SwappedUnpool: _UNPOOLS}
        return kinds.get(type(replacement(module)), _POOLS), ""
    if isinstance(module, CountingReLU):
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
    return ("as before", "another activation") if other_activation(module) else ("", "")
