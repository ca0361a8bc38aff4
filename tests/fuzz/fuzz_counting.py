"""Fuzzers of the ops that count: against PyTorch, a NumPy model of counts, and the reference."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from counting_calls import activity_of, any_call, outcome, threads_of
from fuzzed_tensors import KNEES, any_input
from hypothesis import note
from oracle import numpy_of

from relustat import reference
from relustat.functional import count_activation, counting_activation, counting_relu
from relustat.ops import family, library
from relustat.ops.counting_relu import arguments_of_op
from relustat.stats.activation import RELU


def check_counts(call, counters, x, error, inactive, saturated=None):
    """The counts of one call; those of none, if it raised an error."""
    model = call.model(saturated is not None)
    if error is None:
        model.count(x, inactive, saturated, call.unit_dims, call.kept)
    stats = counters.stats
    model.check(stats)
    return stats


def check_reference(call, x, activation, stats, run):
    """The counts of ``run(x, counters, edges, unit_dim, binning, mask, blocks)``."""
    counters = call.counters(activation)
    dim, units = counters.units_of(x)
    if not isinstance(dim, tuple):  # for which there is no op
        run(x, *arguments_of_op(x, counters, dim, units, call.mask))
        assert counters.stats == stats


@np.errstate(invalid="ignore")
def fuzz_counting_relu(choices):
    call = any_call(choices)
    note(call)
    counters = call.counters()
    with threads_of(call.threads):
        mine = outcome(
            lambda x: counting_relu(x, counters, inplace=call.inplace, mask=call.mask), call
        )
        mine.check(outcome(lambda x: F.relu(x, inplace=call.inplace), call))
    x = call.input.made()
    stats = check_counts(call, counters, x, mine.error, numpy_of(x.resolve_neg()) <= 0)
    if mine.error is None:
        check_reference(call, x, RELU, stats, reference.counting_relu)


MEMBERS = ("relu6", "hardtanh", "leaky", "threshold", "squared", "prelu")
NUMBERS = (0.0, -0.0, *KNEES, 1e-3, -0.7, 20.0, -3.0, 1e-40, math.inf, -math.inf, 1.0001)


def member_of(kind, choices):
    """A member of the family with any numbers, and what PyTorch computes of an input."""
    first, second = choices.of(NUMBERS), choices.of(NUMBERS)
    if kind == "hardtanh":
        lower, upper = sorted((first, second)) if first != second else (-1.0, 1.0)
        return family.hardtanh(lower, upper), lambda x, inplace: F.hardtanh(
            x, lower, upper, inplace
        )
    if kind == "leaky":
        slope = first if math.isfinite(first) else 0.01
        return family.leaky_relu(slope), lambda x, inplace: F.leaky_relu(x, slope, inplace)
    if kind == "threshold":
        return family.threshold(first, second), lambda x, inplace: F.threshold(
            x, first, second, inplace
        )
    if kind == "squared":
        return family.squared_relu(), squared
    return family.relu6(), F.relu6


def squared(x, inplace):
    y = F.relu(x).square()
    return x.copy_(y) if inplace else y


@np.errstate(invalid="ignore")
def fuzz_counting_activation(choices):
    kind = choices.of(MEMBERS)
    if kind == "prelu":
        fuzz_prelu(choices)
        return
    member, plain = member_of(kind, choices)
    call = any_call(choices, KNEES)
    note((member, call))
    counters = call.counters(member.activation)

    def ours(x):
        return counting_activation(x, counters, member, inplace=call.inplace, mask=call.mask)

    def run_reference(x, *arguments):
        how = member.kind, member.first, member.second, None
        reference.counting_activation(x, *arguments[:4], *how, *arguments[4:])

    with threads_of(call.threads):
        mine = outcome(ours, call)
        theirs = outcome(lambda x: plain(x, call.inplace), call)
    # PyTorch's threshold alone writes over what overlaps itself.
    is_refused = kind == "threshold" and call.inplace and call.input.layout == "expanded"
    if not is_refused:
        mine.check(theirs)
    x = call.input.made()
    inactive, saturated = activity_of(x, member.activation)
    stats = check_counts(call, counters, x, mine.error, inactive, saturated)
    if mine.error is None:
        check_reference(call, x, member.activation, stats, run_reference)


@np.errstate(invalid="ignore")
def fuzz_prelu(choices):
    call = any_call(choices, KNEES)
    shape, dtype = call.input.shape, call.input.dtype
    channels = shape[1] if len(shape) > 1 else 1
    slopes = torch.linspace(-1, 2, channels if choices.below(2) and channels else 1)
    slopes = slopes.mul(1 + choices.below(3)).to(dtype)
    note((slopes, call))
    counters = call.counters(family.PRELU.activation)

    def ours(x, slopes):
        return counting_activation(x, counters, family.PRELU, slopes=slopes, mask=call.mask)

    with threads_of(call.threads):
        mine = outcome(ours, call, [slopes])
        mine.check(outcome(torch.prelu, call, [slopes]))
    x = call.input.made()
    check_counts(call, counters, x, mine.error, numpy_of(x.resolve_neg()) <= 0)


SMOOTH = {"GELU": F.gelu, "SiLU": F.silu, "Tanh": torch.tanh, "Softplus": F.softplus}


@np.errstate(invalid="ignore")
def fuzz_count_activation(choices):
    """Beside a call that PyTorch computes."""
    name, near = choices.of(list(SMOOTH)), choices.of((0.0, 1e-3, 0.05, 0.5, math.inf))
    call = any_call(choices, KNEES)
    note((name, near, call))
    member = family.smooth(name, near)
    counters = call.counters(member.activation)
    x = call.input.made()
    y = SMOOTH[name](x)
    with threads_of(call.threads):
        count_activation(x, y, counters, member, mask=call.mask)
    near = near if x.dtype == torch.float64 else np.float32(near)
    check_counts(call, counters, x, None, np.abs(numpy_of(y)) <= near)


def fuzz_activation_hash(choices):
    given, salt = any_input(choices), choices.bits(8) - 2**63
    note((given, salt))
    x = given.made()
    if x.dim():
        assert torch.equal(library.activation_hash(x, salt), reference.activation_hash(x, salt))
