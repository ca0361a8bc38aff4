"""Counting every ReLU of a model for a while, without changing the model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from relustat._patterns import NameChoice, Patterns
from relustat.nn.activations import Activations, ChosenActivations
from relustat.nn.module_paths import check_is_module
from relustat.ops.counters import Counters
from relustat.ops.unit_dim import UnitDim
from relustat.stats.activation import RELU, Activation
from relustat.stats.bins import Bins, LogBins

from .copies import take_traces_off
from .handle import Repeats, Watch, watch_of
from .labels import LabelsOf
from .masks import MaskOf
from .site_counter import During
from .units.patterns import described_dim, first_fitting


def watch(
    model: nn.Module,
    bins: Bins | None = LogBins(),
    *,
    functional: bool = True,
    modules: bool = True,
    unit_dim: UnitDim = "auto",
    unit_histograms: bool = False,
    every: int = 1,
    during: During = "all",
    unit_dims: Mapping[str, UnitDim] | None = None,
    repeats: Repeats = "apart",
    mask: MaskOf | None = None,
    groups: LabelsOf | None = None,
    zero_blocks: int | None = None,
    only: Patterns | None = None,
    skip: Patterns | None = None,
    activations: Activations = "relu",
    near_zero: float = 1e-3,
) -> Watch:
    """Counts every ReLU that ``model`` computes, however it is written, until closed.

    Finds ``nn.ReLU`` modules (in-place ones stay in-place; a module called twice has two call
    sites), ``F.relu``, ``torch.relu``, ``Tensor.relu`` and their in-place forms, ``clamp(min=0)``,
    ``clamp_min(0)``, ``threshold(0, 0)``, ``hardtanh(0, inf)`` and ``leaky_relu(0)``, and ATen's
    ops in exported programs. The report names what is seen and cannot be counted. Outputs and
    gradients stay the same, bit for bit.
    PyTorch's transformer layers take their plain path, because the fused one hides its ReLUs.
    Closing removes the hooks, and the model is as it was before.

    Compiled code is counted as well, compiled before or during the watch. A model of one of
    PyTorch's own classes, such as ``nn.Sequential``, is of a subclass during the watch.

    Args:
        model: call it as usual. Calls of its submodules are counted too. Other methods, such as
            ``model.forward`` or ``model.decode``, are counted within :meth:`Watch.counting`.
        bins: where the histograms' bins lie; None: count zeros only.
        functional: count functional calls.
        modules: count ``nn.ReLU`` modules.
        unit_dim: as in :class:`relustat.Counters`; "auto" also knows which layer an input came
            from (channels for convolutions and norms, the last dimension for linear layers), and
            follows these units through all that moves, splits or joins dimensions. The report
            names the call sites where no layer is known.
        unit_histograms: one histogram for each unit, instead of one for each call site.
        every: count one call in ``every`` of each call site, beginning with the first.
        during: count only calls of a model whose ``training`` is True ("train") or False ("eval").
        unit_dims: unit dimensions by the names of call sites, which may be patterns:
            ``{"decoder.*": 1}``. The first that fits overrules ``unit_dim``.
        activations: which activations are counted: ``"relu"``; ``"relu-like"``, all with a knee
            (``F.relu6``, ``F.leaky_relu``, ``F.prelu``, ``F.hardtanh``, ...); ``"all"``, also
            smooth ones (``F.gelu``, ``F.silu``, ``torch.sigmoid``, ...), whose calls are counted
            beside them in one more read; or a list of names (``["ReLU", "SiLU"]``) or classes.
            docs/activations.md says what is counted of each.
        near_zero: of smooth ones, outputs up to this magnitude are inactive.
        repeats: what happens if one place of the code is reached several times in one forward, as
            in a loop: each has a call site ("apart"), or all are one ("together").

        only: count these call sites alone: a glob of names (``"layer1.*"``, where ``*`` stands for
            dots, too), a compiled regular expression, which is searched for, or several of them.
        skip: do not count these; patterns as for ``only``.

    Returns:
        A :class:`Watch`. It is a context manager, or is closed with ``close()``.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.
        ValueError: if it is watched already, or an argument is wrong. A call of the model raises it
            if ``mask`` or ``groups`` do not fit an input, before it is counted.

    Warns:
        UserWarning: if a pattern of ``unit_dims`` fits no module of the model.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> with relustat.watch(model) as watch:
        ...     _ = model(torch.randn(16, 4))
        >>> {name: stats.elements for name, stats in watch.stats.items()}
        {'1': 128}
    """
    choice = NameChoice.of("watch", only, skip)
    by_name = {} if unit_dims is None else dict(unit_dims)

    chosen = ChosenActivations.of("watch", activations, near_zero)

    def make_counters(name: str, activation: Activation) -> tuple[Counters, str]:
        found = first_fitting(by_name, name)
        dim = unit_dim if found is None else by_name[found]
        counters = Counters(
            bins,
            unit_dim=dim,
            unit_histograms=unit_histograms,
            every=every,
            zero_blocks=zero_blocks,
            activation=activation,
        )
        return counters, "" if dim == "auto" else f"{described_dim(dim)} (given)"

    for pattern, dim in by_name.items():
        if not isinstance(pattern, str):
            raise TypeError(f"watch: unit_dims must have names as keys, got {pattern!r}")
        Counters(bins, unit_dim=dim)  # raises if it is wrong
    make_counters("", RELU)  # raises if an argument is wrong
    return Watch(
        model,
        make_counters,
        functional=functional,
        modules=modules,
        during=during,
        repeats=repeats,
        patterns=by_name,
        choice=choice,
        mask=mask,
        groups=groups,
        activations=chosen,
        options={
            "bins": repr(bins) if bins is None else bins.to_dict(),
            "unit_dim": repr(unit_dim),
            "unit_dims": {name: repr(dim) for name, dim in by_name.items()},
            "unit_histograms": unit_histograms,
            "every": every,
            "during": during,
            "repeats": repeats,
            "zero_blocks": zero_blocks,
            **choice.to_dict(),
            **chosen.to_dict(),
        },
    )


def unwatch(model: nn.Module) -> None:
    """Closes the watch of ``model``, if it has one.

    Of a copy that was made in an unusual way, it removes what is left of its original's watch.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.ReLU()
        >>> _ = relustat.watch(model)
        >>> relustat.unwatch(model)
    """
    check_is_module("unwatch", model)
    watching = watch_of(model)
    if watching is not None:
        watching.close()
    take_traces_off(model)
