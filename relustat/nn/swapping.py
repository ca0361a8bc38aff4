"""Swaps counting modules into a model for good, and plain ones back."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from relustat.ops.counters import Counters, UnitDim
from relustat.stats.bins import Bins, LogBins

from .counting_relu import CountingReLU
from .max_pool import MaxPool1d, MaxPool2d, MaxPool3d

Model = TypeVar("Model", bound=nn.Module)

_POOLS: dict[type[nn.Module], type[nn.Module]] = {
    nn.MaxPool1d: MaxPool1d,
    nn.MaxPool2d: MaxPool2d,
    nn.MaxPool3d: MaxPool3d,
}
_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    CountingReLU: nn.ReLU,
    **{ours: theirs for theirs, ours in _POOLS.items()},
}
_MARK = "_relustat_swapped"


def swap(
    model: Model,
    *,
    pools: bool = True,
    bins: Bins | None = LogBins(),
    unit_dim: UnitDim = "auto",
    unit_histograms: bool = False,
    every: int = 1,
) -> Model:
    """Turns every ``nn.ReLU`` of a model into a :class:`CountingReLU`, in place.

    The modules stay the same objects and only change their class. So names, hooks, training mode,
    ``state_dict`` and references stay as they are. Subclasses of ``nn.ReLU`` and modules that are
    swapped already do not change. To count for a while, use :func:`relustat.watch`: it leaves the
    model unchanged, and it also finds functional ReLUs.

    Args:
        model: changed in place; may itself be a ReLU.
        pools: also turn ``nn.MaxPool*d`` into :class:`relustat.MaxPool1d` and so on.
        bins, unit_dim, unit_histograms, every: see :class:`relustat.Counters`.

    Returns:
        The model.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.MaxPool2d(2))
        >>> relustat.swap(model)
        Sequential(
          (0): CountingReLU(bins=LogBins(per_octave=8, min_exponent=-14, max_exponent=16))
          (1): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
        )
        >>> y = model(torch.randn(2, 3, 4, 4))
        >>> model[0].stats.elements
        96
        >>> relustat.unswap(model)[0]
        ReLU()
    """
    # All modules are made before the first one is changed: an error leaves the model as it was.
    counters = {
        module: Counters(bins, unit_dim=unit_dim, unit_histograms=unit_histograms, every=every)
        for module in model.modules()
        if type(module) is nn.ReLU
    }
    # The class comes last: after an interrupt each module works, and unswap() finds it.
    for relu, own in counters.items():
        relu.__dict__.update({"counters": own, _MARK: True})
        relu.__class__ = CountingReLU
    for module in model.modules() if pools else ():
        if type(module) in _POOLS:
            module.__dict__[_MARK] = True
            module.__class__ = _POOLS[type(module)]
    return model


def unswap(model: Model) -> Model:
    """Undoes :func:`swap`. The counts are lost, and the model is as it was.

    Modules that were of relustat's classes before the swap stay as they are.

    Example:
        >>> import torch, relustat
        >>> relustat.unswap(relustat.swap(torch.nn.ReLU(inplace=True)))
        ReLU(inplace=True)
    """
    for module in model.modules():
        if _MARK in module.__dict__:
            # In the reverse order. After an interrupt the class may still be the old one.
            module.__class__ = _PLAIN.get(type(module), type(module))
            module.__dict__.pop("counters", None)
            module.__dict__.pop("return_switches", None)
            module.__dict__.pop(_MARK)
    return model
