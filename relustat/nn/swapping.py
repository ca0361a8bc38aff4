"""Makes a model's ReLUs count and its pools save switches, for good; and the way back."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from torch import nn

from relustat.ops.counters import Counters
from relustat.ops.unit_dim import UnitDim
from relustat.stats.bins import Bins, LogBins

from .activations import (
    Activations,
    ChosenActivations,
    activation_of,
    gives_squared_relu,
    member_of,
)
from .counted_module import CountedModule
from .fusable_pairs import Pairs, find_pairs
from .module_paths import check_is_module
from .replacements import (
    MARK,
    Swapped,
    SwappedPool,
    SwappedReLU,
    SwappedSequential,
    SwappedUnpool,
    is_swapped,
    replacement,
)
from .swapped_activations import SwappedActivation

Model = TypeVar("Model", bound=nn.Module)

POOL_AXES: dict[type[nn.Module], int] = {nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3}
UNPOOL_AXES: dict[type[nn.Module], int] = {
    nn.MaxUnpool1d: 1,
    nn.MaxUnpool2d: 2,
    nn.MaxUnpool3d: 3,
}


def swap(
    model: Model,
    *,
    pools: bool = True,
    fuse: bool = False,
    bins: Bins | None = LogBins(),
    unit_dim: UnitDim = "auto",
    unit_histograms: bool = False,
    every: int = 1,
    zero_blocks: int | None = None,
    activations: Activations = "relu",
    near_zero: float = 1e-3,
) -> Model:
    """Makes every ``nn.ReLU`` of a model count, in place, or every activation that is chosen.

    A swapped module does what a :class:`CountingReLU` does, and ``module.counters.stats`` are its
    counts. It stays the same object of the same class. So names, hooks, training mode,
    ``state_dict``, references, and tools that look for ``nn.ReLU`` stay as they are. Subclasses of
    these and modules that are swapped already do not change; :func:`swapped` lists all. To
    count for a while, use :func:`relustat.watch`: it also finds functional ReLUs.

    Args:
        model: changed in place; may itself be a ReLU.
        pools: also have ``nn.MaxPool*d`` pool as :class:`relustat.MaxPool2d` does, and
            ``nn.MaxUnpool*d`` give the same values in each run (PyTorch's threads race where
            windows overlap, on the CPU in any memory format).
        fuse: also have each ReLU and the pool behind it run in one pass, as in
            :class:`relustat.ReLUMaxPool2d`, where only that pool can read the ReLU's output. These
            are neighbours in an ``nn.Sequential``, and calls right after one another in a method
            (``self.pool(self.relu(x))``, or two lines): the source is read, and nothing is run.
            An in-place ReLU must also be the only one to see its input: that of a convolution or
            a norm right before it. With a hook on one of them, which sees what is between, they run
            in two passes. :func:`swapped` says which pairs were found, and why not others.
        bins, unit_dim, unit_histograms, every, zero_blocks: see :class:`relustat.Counters`.
        activations: the activations whose modules count: ``"relu"``; ``"relu-like"``, those with a
            knee, such as ``nn.ReLU6`` and ``nn.LeakyReLU``, which count while they compute;
            ``"all"``, also smooth ones such as ``nn.GELU``, whose calls are counted beside them; or
            a list of names or classes.
        near_zero: of smooth ones, outputs up to this magnitude count as inactive.

    Returns:
        The model.

    Raises:
        TypeError, ValueError: if an argument is wrong, or ``fuse`` is True without ``pools``. Then
            the model is as it was.

    Warns:
        UserWarning: if nothing of the model is swapped.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU())
        >>> relustat.swap(model)
        Sequential(
          (0): Conv2d(3, 3, kernel_size=(1, 1), stride=(1, 1))
          (1): ReLU(counting, bins=LogBins(per_octave=8, min_exponent=-14, max_exponent=16))
        )
        >>> y = model(torch.randn(2, 3, 4, 4))
        >>> model[1].counters.stats.elements
        96
        >>> relustat.unswap(model)[1]
        ReLU()
    """
    check_is_module("swap", model)
    if fuse and not pools:
        raise ValueError("swap: fuse=True needs pools=True, got pools=False")
    chosen = ChosenActivations.of("swap", activations, near_zero)
    options: dict[str, Any] = {
        "bins": bins,
        "unit_dim": unit_dim,
        "unit_histograms": unit_histograms,
        "every": every,
        "zero_blocks": zero_blocks,
    }
    # All is made before the first module is changed: an error leaves the model as it was.
    made: list[Swapped] = []
    for module in model.modules():
        if is_swapped(module) or "forward" in module.__dict__:
            continue
        if type(module) is nn.ReLU:
            if "ReLU" in chosen.names:
                made.append(SwappedReLU(module, Counters(**options)))
        elif is_swappable(module):
            member = member_of(module, chosen)
            if member is not None:
                counters = Counters(**options, activation=member.activation)
                made.append(SwappedActivation(module, counters, chosen))
        elif pools and type(module) in POOL_AXES:
            made.append(SwappedPool(module, POOL_AXES[type(module)]))
        elif pools and type(module) in UNPOOL_AXES:
            made.append(SwappedUnpool(module, UNPOOL_AXES[type(module)]))
    known = [replacement(each) for each in model.modules() if is_swapped(each)]
    pairs = _pairs(model, [*known, *made]) if fuse else None
    for each in made:
        each.put_on()
    if pairs is not None:
        _fuse(pairs, [*known, *made])
    if not made and not any(map(is_swapped, model.modules())):
        what = "nn.ReLU" if chosen.names == {"ReLU"} else "activation of these"
        what += " or pool" if pools else ""
        warnings.warn(
            f"swap: the {type(model).__name__} has no {what} to swap; relustat.swapped(model) says "
            "why, and relustat.watch(model) also counts activations that are functions",
            stacklevel=2,
        )
    return model


def is_swappable(module: nn.Module) -> bool:
    """Whether a module is another activation of PyTorch's own class, not of a subclass.

    Of the squared ReLU PyTorch has no class.
    """
    is_of_pytorch = type(module).__module__.startswith("torch.nn.")
    is_other = activation_of(module) not in ("", "ReLU")
    return (is_of_pytorch and is_other) or gives_squared_relu(module)


def _pairs(model: nn.Module, swapped: list[Swapped]) -> Pairs:
    """What swapped ReLUs and pools of a model can run in one pass."""
    relus = {each.module for each in swapped if isinstance(each, SwappedReLU)}
    return find_pairs(
        model, relus, {each.module for each in swapped if isinstance(each, SwappedPool)}
    )


def _fuse(pairs: Pairs, swapped: list[Swapped]) -> None:
    """Tells swapped modules of each other."""
    for each in swapped:
        if isinstance(each, SwappedReLU):
            each.hand_overs = {**each.hand_overs, **pairs.hand_overs.get(each.module, {})}
        elif isinstance(each, SwappedPool):
            each.two_passes_where = pairs.why_not.get(each.module, "")
    for sequential in pairs.sequentials:
        if not is_swapped(sequential) and "forward" not in sequential.__dict__:
            SwappedSequential(sequential).put_on()


def unswap(model: Model) -> Model:
    """Undoes :func:`swap`. The counts are lost, and the model is as it was.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.
        ValueError: if the ``forward`` of a swapped module has been replaced since.

    Example:
        >>> import torch, relustat
        >>> relustat.unswap(relustat.swap(torch.nn.ReLU(inplace=True)))
        ReLU(inplace=True)
    """
    check_is_module("unswap", model)
    found = {name: module for name, module in model.named_modules() if is_swapped(module)}
    for name, module in found.items():
        if "forward" in module.__dict__ and not replacement(module).is_on():
            raise ValueError(
                f"unswap: a swapped module must have the forward that swap() gave it, got another "
                f"one at {name!r}; undo first what came after swap()"
            )
    for module in found.values():
        replacement(module).take_off()
    return model


def counters_of(module: nn.Module) -> Counters | None:
    """The counters of relustat's own modules, or of a swapped ReLU."""
    counting = module.__dict__.get(MARK)
    is_own = isinstance(module, CountedModule) or isinstance(
        counting, (SwappedReLU, SwappedActivation)
    )
    counters: Counters | None = module.counters if is_own else None  # type: ignore[assignment]
    return counters
