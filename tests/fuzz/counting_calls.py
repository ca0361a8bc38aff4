"""Calls that count, as chosen by bytes: bins, units, masks, and the mode in which they run."""

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from count_model import CountModel, unit_dims_of
from family_cases import knee_in
from fuzzed_tensors import Input, any_input, filled, laid_out
from oracle import BINS, numpy_of, same_bits

from relustat import Bins, Counters, EdgeBins, LinearBins, LogBins
from relustat.stats.activation import RELU

MODES = ("plain", "grad", "no_grad", "inference")
UPSTREAM_LAYOUTS = ("contiguous", "permuted", "expanded", "negative")
FIXED_BINS = list(BINS.values())


def any_bins(choices):
    """Bins of any kind; three in four are among the fixed ones, whose edges are known already."""
    if not choices.one_in(4):
        return choices.of(FIXED_BINS)
    kind, scale = choices.below(3), 10.0 ** (choices.below(13) - 6)
    random = np.random.default_rng(choices.bits())
    if kind == 0:
        low = int(random.integers(-126, 126))
        high = int(random.integers(low + 1, min(low + 40, 127) + 1))
        return LogBins(2 ** int(random.integers(0, 6)), low, high)
    if kind == 1:
        lo, width = scale * random.normal(), scale * (0.01 + random.random())
        try:
            return LinearBins(lo, lo + width, int(random.integers(1, 300)))
        except ValueError:  # narrower than float32 tells apart
            return LinearBins(-scale, scale, 7)
    edges = np.unique((scale * random.normal(size=random.integers(2, 60))).astype(np.float32))
    return EdgeBins(edges) if len(edges) > 1 else EdgeBins([0, scale])


def any_unit_dim(choices, dims):
    """ "auto", a dimension, counted from either end, or several."""
    kind = choices.below(8)
    if kind < 3:
        return "auto"
    if kind < 6 and dims:
        return choices.below(2 * dims) - dims
    if kind == 6:
        return ()
    chosen, end = choices.bits(1), dims * choices.below(2)
    return tuple(dim - end for dim in range(dims) if chosen >> dim & 1)


def any_mask(choices, sizes):
    """A mask that expands to these sizes; None in half of the cases."""
    if choices.below(2) == 0:
        return None
    ones, share = choices.bits(1), choices.below(5) / 4
    own = [1 if ones >> axis & 1 else size for axis, size in enumerate(sizes)]
    own = own[choices.below(3) :]
    kept = np.random.default_rng(choices.bits(1)).random(math.prod(own)) < share
    return torch.from_numpy(kept).view(own)


@dataclass(frozen=True)
class Call:
    """A call that counts."""

    input: Input
    bins: Bins | None
    unit_dim: Any
    unit_histograms: bool
    zero_blocks: int | None
    mask: torch.Tensor | None
    inplace: bool
    mode: str
    upstream: bytes
    upstream_layout: str
    threads: int

    @property
    def unit_dims(self):
        return unit_dims_of(self.input.shape, self.unit_dim)

    @property
    def kept(self):
        return None if self.mask is None else self.mask.numpy()

    def counters(self, activation=RELU):
        return Counters(
            self.bins,
            unit_dim=self.unit_dim,
            unit_histograms=self.unit_histograms,
            zero_blocks=self.zero_blocks,
            activation=activation,
        )

    def model(self, saturates):
        edges = None if self.bins is None else self.bins.edges
        return CountModel(edges, self.unit_histograms, 1, self.zero_blocks, saturates)


def any_call(choices, knees=(), shape=None):
    """A call of an op that counts; ``knees`` are among the input's numbers."""
    bins = any_bins(choices)
    edges = () if bins is None else tuple(bins.edges.tolist())
    given = any_input(choices, shape, (*edges[:: 1 + len(edges) // 30], *knees))
    unit_dim = any_unit_dim(choices, len(given.shape))
    unit_dims = unit_dims_of(given.shape, unit_dim)
    positions = [size for dim, size in enumerate(given.shape) if dim not in unit_dims]
    is_large = math.prod(given.shape) > 2000
    return Call(
        given,
        bins,
        unit_dim,
        choices.one_in(4) and bins is not None and not is_large,
        choices.of((None, None, None, 1, 2, 3, 32)),
        any_mask(choices, positions),
        choices.one_in(3),
        choices.of(MODES),
        choices.bytes(1 + choices.below(9)),
        choices.of(UPSTREAM_LAYOUTS),
        1 + choices.below(3) if is_large else 0,
    )


@np.errstate(invalid="ignore")
def activity_of(x, activation):
    """Where an input is inactive, and where saturated, if it can be: bool arrays of its shape."""
    values, clamps = numpy_of(x.resolve_neg()), activation.upper is not None
    inactive = values <= knee_in(x.dtype, activation.lower, is_rounded=clamps)
    saturated = values >= knee_in(x.dtype, activation.upper, is_rounded=True) if clamps else None
    return inactive, saturated


@dataclass(frozen=True)
class Outcome:
    """What a call gave: an error, or an output, its input's memory afterwards, and gradients."""

    error: type | None
    y: torch.Tensor | None = None
    memory: torch.Tensor | None = None
    gradients: tuple = ()
    backward_error: type | None = None

    def check(self, other):
        """Asserts that both are the same, bit for bit."""
        assert (self.error, self.backward_error) == (other.error, other.backward_error)
        if self.error is not None:
            return
        assert self.y.stride() == other.y.stride(), (self.y.stride(), other.y.stride())
        assert self.y.is_neg() == other.y.is_neg()
        check_bits(self.y.resolve_neg(), other.y.resolve_neg())
        check_bits(self.memory, other.memory)
        for mine, its in zip(self.gradients, other.gradients, strict=True):
            check_bits(mine, its)


def check_bits(a, b):
    assert same_bits(a, b), (a, b)


def outcome(function, call, parameters=()):
    """Runs a function of one tensor as a call says.

    Args:
        function: of the input, and of the parameters.
        call: a :class:`Call`.
        parameters: further tensors, which get gradients, too.
    """
    with_gradient = call.mode == "grad"
    leaf = call.input.values
    if with_gradient:
        leaf = leaf.clone().requires_grad_()
        parameters = [each.clone().requires_grad_() for each in parameters]
    with torch.set_grad_enabled(with_gradient), torch.inference_mode(call.mode == "inference"):
        x = call.input.made(leaf.clone())
        try:
            y = function(x, *parameters)
        except RuntimeError as error:
            return Outcome(type(error))
        memory = memory_of(x)
    if not with_gradient:
        return Outcome(None, y, memory)
    output = y.detach().clone()
    upstream = filled(y.shape, y.dtype, call.upstream)
    upstream = laid_out(upstream, call.upstream_layout, call.input.detail)
    try:
        gradients = torch.autograd.grad(y, [leaf, *parameters], upstream)
    except RuntimeError as error:
        return Outcome(None, output, memory, (), type(error))
    return Outcome(None, output, memory, gradients)


def memory_of(x):
    """All numbers of a tensor's memory, also those that a view leaves out."""
    return torch.empty(0, dtype=x.dtype).set_(x.untyped_storage()).clone()


@contextlib.contextmanager
def threads_of(number):
    """So many of PyTorch's threads; 0: as they are."""
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if number:
            torch.set_num_threads(before)
