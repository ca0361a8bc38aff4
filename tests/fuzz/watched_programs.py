"""What a watch of a random model is asked for, and what it must then count."""

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from choices import Choices
from count_model import CountModel, unit_dims_of
from counting_calls import activity_of, any_mask
from oracle import numpy_of

import relustat
from relustat import LinearBins
from relustat.nn.activations import ChosenActivations
from relustat.ops import family
from relustat.stats.activation import RELU

BINS = LinearBins(-2, 2, 8)
NEAR_ZERO = 0.05
KNEES = {
    "ReLU": RELU,
    "ReLU6": family.relu6().activation,
    "Hardtanh": family.hardtanh().activation,
    "LeakyReLU": family.leaky_relu().activation,
}


@dataclass(frozen=True)
class Asked:
    """Options of a watch.

    Attributes:
        activations: as the watch takes it.
        unit_dims: by the names of call sites.
        masks: a seed of masks; None: all is counted.
    """

    every: int = 1
    activations: object = "relu"
    unit_dims: dict = field(default_factory=dict)
    masks: int | None = None

    def watch(self, model, mask):
        return relustat.watch(
            model,
            BINS,
            every=self.every,
            activations=self.activations,
            near_zero=NEAR_ZERO,
            unit_dims=self.unit_dims,
            mask=None if self.masks is None else mask,
        )


def any_asked(choices, program, model):
    """Options, plain ones in half of the cases."""
    if choices.below(2):
        return Asked()
    names = [site.name for site in program.sites_of(model)]
    chosen = [name for name in dict.fromkeys(names) if choices.one_in(3)]
    return Asked(
        1 + choices.one_in(4),
        choices.of(("relu", "relu-like", "all", ["ReLU", "GELU"], ["LeakyReLU"])),
        {name: choices.of((0, -1, ())) for name in chosen},
        choices.bits(2) if choices.below(2) else None,
    )


class Truth:
    """What a watch of a program must have counted."""

    def __init__(self, program, model, asked=Asked()):
        self.sites, self.asked = program.sites_of(model), asked
        self.units = {site.name: site.units for site in self.sites}
        self.chosen = ChosenActivations.of("watch", asked.activations, NEAR_ZERO).names
        self.models = {}

    def unit_dims(self, name, x):
        units = self.asked.unit_dims.get(name, self.units[name])
        return unit_dims_of(x.shape, "auto" if units is None else units)

    def mask(self, name, x):
        """The mask of a call, the same one each time; None for some call sites."""
        if self.asked.masks is None:
            return None
        unit_dims = self.unit_dims(name, x)
        positions = [size for dim, size in enumerate(x.shape) if dim not in unit_dims]
        random = np.random.default_rng([self.asked.masks, zlib.crc32(name.encode())])
        return any_mask(Choices(random.bytes(16)), positions)

    def count(self, calls):
        """Adds a forward, of which these are the inputs and outputs of activations."""
        assert len(calls) <= len(self.sites)
        for (name, _, kind), (x, y) in zip(self.sites, calls, strict=False):
            if kind not in self.chosen:
                continue
            inactive, saturated = activity(kind, x, y)
            model = CountModel(BINS.edges, every=self.asked.every, saturates=saturated is not None)
            model = self.models.setdefault(name, model)
            mask = self.mask(name, x)
            kept = None if mask is None else mask.numpy()
            model.count(x, inactive, saturated, self.unit_dims(name, x), kept)

    def check(self, stats):
        counted = {name: each for name, each in self.models.items() if each.widths}
        assert list(stats) == list(counted)
        for name, model in counted.items():
            try:
                model.check(stats[name])
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


@np.errstate(invalid="ignore")
def activity(kind, x, y):
    """Where a call is inactive, and where saturated, if it can be: bool arrays of its shape."""
    if kind in KNEES:
        return activity_of(x, KNEES[kind])
    near = NEAR_ZERO if x.dtype == torch.float64 else np.float32(NEAR_ZERO)
    return np.abs(numpy_of(y)) <= near, None
