"""Ways to count the ReLUs of a model: ours, hooks with NumPy, and monitorch."""

from typing import NamedTuple

import numpy as np
import pytest
from torch import nn

import relustat


class Counts(NamedTuple):
    """What a check expects of one ReLU, by the name of its module."""

    zeros: int
    elements: int


class Watched:
    """relustat.watch: the model stays as it is."""

    def __init__(self, model, **options):
        self.watch = relustat.watch(model, **options)

    def counts(self):
        stats = self.watch.stats.items()
        return {name: Counts(each.zeros, each.elements) for name, each in stats}

    def check(self, counts):
        assert self.counts() == counts


class Swapped:
    """relustat.swap: ReLUs that count, and pools that keep switches."""

    def __init__(self, model, **options):
        self.model = relustat.swap(model, **options)

    def counts(self):
        stats = relustat.Report.of(self.model).stats.items()
        return {name: Counts(each.zeros, each.elements) for name, each in stats}

    def check(self, counts):
        assert self.counts() == counts


class Fused(Swapped):
    """The same, and each ReLU that feeds a pool runs in one pass with it."""

    def __init__(self, model, **options):
        super().__init__(model, fuse=True, **options)
        assert any(each.one_pass_with for each in relustat.swapped(model))


class NumPyHooks:
    """np.histogram of every ReLU's input, in a hook; the first batch decides the bins if not given.

    A pre-hook, since a hook would see what an in-place ReLU left. Given edges are also the form in
    which NumPy is fastest.
    """

    def __init__(self, model, edges=None):
        self.edges = {}
        self.histograms = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.ReLU):
                self.edges[name] = 200 if edges is None else edges
                self.histograms[name] = 0
                module.register_forward_pre_hook(self._hook(name))

    def _hook(self, name):
        def count(module, inputs):
            x = inputs[0].detach().numpy()
            counts, self.edges[name] = np.histogram(x, bins=self.edges[name])
            self.histograms[name] += counts

        return count

    def check(self, counts):
        elements = {name: each.elements for name, each in counts.items()}
        assert {name: each.sum() for name, each in self.histograms.items()} == elements


class Monitorch:
    """monitorch's lens on the outputs of activations: their rate, and that of dead channels."""

    def __init__(self, model):
        monitorch = pytest.importorskip(
            "monitorch", reason="monitorch is not installed: make bench does that"
        )
        from monitorch.inspector import PyTorchInspector
        from monitorch.lens import OutputActivation

        self.rates = {}
        self.inspector = PyTorchInspector(
            [OutputActivation(record_eval=True, warning_plot=False)],
            module=model,
            visualizer=_noting(monitorch.visualizer.DummyVisualizer, self.rates),
        )

    def check(self, counts):
        self.inspector.tick_epoch()
        rates = {name: 1 - each.zeros / each.elements for name, each in counts.items()}
        assert self.rates == pytest.approx(rates, abs=1e-4)


def _noting(visualizer, rates):
    """A visualizer that draws nothing and keeps the activation rates it is given."""

    class Noting(visualizer):
        def plot_probabilities(self, _epoch, _tag, values):
            rates.update({name: each["activation_rate"] for name, each in values.items()})

    return Noting()
