"""relustat's counts as a lens of monitorch (https://pypi.org/project/monitorch)."""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from relustat._hooks import take_off
from relustat.analysis.rates.activation_counts import OutputCounts
from relustat.nn.activations import computes_relu
from relustat.nn.module_paths import plain_path

try:
    from monitorch.gatherer import FeedForwardGatherer  # type: ignore[import-untyped]
    from monitorch.lens import AbstractLens  # type: ignore[import-untyped]
    from monitorch.lens.module_distinction import isactivation  # type: ignore[import-untyped]
    from monitorch.numerical import RunningMeanVar  # type: ignore[import-untyped]
    from monitorch.preprocessor import OutputActivation  # type: ignore[import-untyped]
    from monitorch.visualizer import TagAttributes, TagType  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise ImportError(
        "relustat.integrations.monitorch needs monitorch, which is not installed: "
        "pip install monitorch"
    ) from error

__all__ = ["ReLUActivation"]

_TAG, _WARNING_TAG = "Output Activations", "Warning Output Activations"


class ReLUActivation(AbstractLens):  # type: ignore[misc]
    """Activation and death rates of outputs, instead of monitorch's ``OutputActivation()``.

    Plots and numbers are the same. For ReLUs and dropout layers the rates of each batch come from
    exact counts. The rate of an epoch is their mean, with the same weight for each batch. Other
    activation functions are recorded by monitorch. Batches count while the model is in training
    mode. Each is read once, after the model's forward. (A call of a part of the model alone is read
    with the next forward, as a part of its batch.)

    Differences, on purpose:

    * Functional and in-place ReLUs are seen, and subclasses of ``nn.ReLU``. Layers have the names
      of :func:`relustat.watch`, so each call of a module has its own rates.
    * An output is active unless it is exactly 0. A number between 0 and 1e-8 is active. A NaN is
      not active, but its unit is not dead.
    * Units are channels after convolutions and features after linear layers, also for 3-D outputs,
      where monitorch takes dim 1. :class:`relustat.analysis.ActivationRates` describes dropout.
    * Rates are exact, in float64. monitorch's are float32 means, with up to two roundings.
    * A layer that was not called in an epoch is left out. monitorch raises a KeyError.

    The model must not be watched when it is attached.

    Example:
        >>> import torch
        >>> from monitorch.inspector import PyTorchInspector
        >>> from monitorch.visualizer import DummyVisualizer
        >>> from relustat.integrations.monitorch import ReLUActivation
        >>> model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Softmax(dim=1))
        >>> lens = ReLUActivation()
        >>> inspector = PyTorchInspector([lens], visualizer=DummyVisualizer(), module=model)
        >>> _ = model(torch.tensor([[-1.0, 2.0]]))
        >>> lens.rates()["0"]
        {'activation_rate': 0.5, 'death_rate': 0.5}
        >>> inspector.tick_epoch()
    """

    def __init__(self) -> None:
        self._recorded = OutputActivation(
            death=True, inplace=True, record_eval=False, evaluation_from_grad=False
        )
        self._attached = contextlib.ExitStack()
        self._order: list[str] = []
        self._layers: OrderedDict[str, dict[str, float]] = OrderedDict()

    def rates(self) -> OrderedDict[str, dict[str, float]]:
        """Means over the batches of this epoch: "activation_rate" and "death_rate" by layer.

        Layers have monitorch's order. Functional ReLUs and second calls come last.
        """
        recorded = self._recorded.value
        means: OrderedDict[str, dict[str, float]] = OrderedDict()
        for name in dict.fromkeys([*self._order, *recorded]):
            if name in recorded:
                activation, death = recorded[name]
                means[name] = {"activation_rate": activation.mean, "death_rate": death.mean}
        return means

    def register_leaf_module(
        self, module: nn.Module, module_name: str, inspector_state: Any
    ) -> None:
        name = plain_path(module_name)
        self._order.append(name)
        if isactivation(module) and not computes_relu(module):
            gatherer = FeedForwardGatherer(module, [self._recorded], name, inspector_state)
            self._attached.callback(gatherer.detach)
        self.register_non_leaf_module(module, module_name, inspector_state)

    def register_non_leaf_module(
        self, module: nn.Module, module_name: str, inspector_state: Any
    ) -> None:
        # The model itself has no path.
        if not module_name:
            self._count(module, inspector_state)

    def _count(self, model: nn.Module, inspector_state: Any) -> None:
        counts = OutputCounts("train")
        self._attached.callback(counts.close)
        try:
            counts.open(model)
        except ValueError:
            self.detach_from_module()
            raise

        def read(*_: Any) -> None:
            if inspector_state.is_active:
                self._record(counts)
            counts.reset()

        hook = torch.compiler.disable(read)
        self._attached.callback(take_off, model, hook)
        model.register_forward_hook(hook, always_call=True)

    def _record(self, counts: OutputCounts) -> None:
        for name, rates in counts.rates().items():
            means = self._recorded.value.setdefault(name, (RunningMeanVar(), RunningMeanVar()))
            for mean, rate in zip(means, rates, strict=True):
                mean.append(rate)

    def detach_from_module(self) -> None:
        self._attached.close()
        self._order.clear()
        self._layers = OrderedDict()
        self.reset_epoch()

    def introduce_tags(self, visualizer: Any) -> None:
        for tag, is_big in ((_TAG, False), (_WARNING_TAG, True)):
            attributes = TagAttributes(
                logy=False, annotate=True, big_plot=is_big, type=TagType.PROBABILITY
            )
            visualizer.register_tags(tag, attributes)

    def finalize_epoch(self) -> None:
        self._layers = self.rates()

    def vizualize(self, visualizer: Any, epoch: int) -> None:
        rates = self._layers.values()
        worst = {
            "worst activation_rate": min(
                (each["activation_rate"] for each in rates), default=math.nan
            ),
            "worst death_rate": max((each["death_rate"] for each in rates), default=math.nan),
        }
        visualizer.plot_probabilities(epoch, _TAG, self._layers)
        visualizer.plot_probabilities(epoch, _WARNING_TAG, OrderedDict([(_WARNING_TAG, worst)]))

    def reset_epoch(self) -> None:
        self._recorded.reset()

    def start_sync(self, dst_rank: int) -> None:
        self._recorded.start_sync(dst_rank)

    def finish_sync(self) -> None:
        self._recorded.finish_sync()
