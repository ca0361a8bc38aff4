"""Small programs around a counting ReLU, compiled by Inductor: outputs, gradients and counts.

Weights and inputs are small integers, so that all sums are exact in any order.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from compiled_models import needs_inductor
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import relustat

pytestmark = needs_inductor


def integers(*sizes):
    return torch.randint(-2, 3, sizes).float()


def convolution():
    layer = nn.Conv2d(4, 4, 3, padding=1)
    weight = torch.randint(-1, 2, layer.weight.shape) * (torch.rand(layer.weight.shape) < 0.2)
    layer.weight.data = weight.float()
    layer.bias.data = integers(4)
    return layer


class Program(nn.Module):
    """Steps that each take values of earlier ones, and append one; all are [n, 4, 6, 6]."""

    def __init__(self, steps, results):
        super().__init__()
        self.steps, self.results = steps, results
        self.convolutions = nn.ModuleList(convolution() for _ in steps)
        self.relus = nn.ModuleList(nn.ReLU() for _ in steps)
        self.in_place = nn.ModuleList(nn.ReLU(inplace=True) for _ in steps)

    def forward(self, x):
        values = [x]
        for number, (step, first, second) in enumerate(self.steps):
            a, b = values[first % len(values)], values[second % len(values)]
            values.append(self.do(number, step, a, b))
        return [values[each % len(values)] for each in self.results]

    def do(self, number, step, a, b):
        match step:
            case "convolution":
                return self.convolutions[number](a)
            case "relu":
                return self.relus[number](a)
            case "relu of a copy, in place":
                return self.in_place[number](a + 0)
            case "relu in place":
                return self.in_place[number](a)
            case "add":
                return a + b
            case "add in place":
                return a.add_(1)
            case "transposed":
                return a.mT
            case "channels last":
                return a.contiguous(memory_format=torch.channels_last)
            case "viewed":
                return a.contiguous().view(a.shape[0], 4, 36).view(a.shape)
            case "halves":
                first, second = a.chunk(2, 1)
                return torch.cat([self.relus[number](second), first], 1)
            case "pooled":
                return F.max_pool2d(a, 3, 1, 1)
            case "multiplied":
                return a * -2


MUTATIONS = ("add in place", "relu in place")
STEPS = (
    *("convolution", "relu", "relu of a copy, in place", "add", "transposed"),
    *("channels last", "viewed", "halves", "pooled", "multiplied"),
)


def assert_compiled_as_eager(program, x, *, training, dynamic=False):
    """Runs it compiled and in eager mode; if it is dynamic, with batches of two sizes."""
    eager, model = (relustat.swap(copy.deepcopy(program)) for _ in range(2))
    compiled = torch.compile(model, fullgraph=True)
    with torch.set_grad_enabled(training):
        for batch in (x, torch.cat([x, x.flip(0)])) if dynamic else (x, x):
            inputs = [batch.clone().requires_grad_(training) for _ in range(2)]
            if dynamic:
                torch._dynamo.maybe_mark_dynamic(inputs[1], 0)
            expected, results = eager(inputs[0]), compiled(inputs[1])
            for one, other in zip(results, expected, strict=True):
                assert torch.equal(one, other)
            assert torch.equal(*inputs)  # in-place functions may change them
            if training:
                for results_of in (expected, results):
                    sum(each.sum() for each in results_of).backward()
                assert torch.equal(inputs[0].grad, inputs[1].grad)
    if training:
        for one, other in zip(model.parameters(), eager.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None)
            if other.grad is not None:
                assert torch.equal(one.grad, other.grad)
    assert counts_of(model) == counts_of(eager) != []


def counts_of(model):
    found = [each.counters.stats for each in model.modules() if hasattr(each, "counters")]
    return [stats for stats in found if stats.calls]


KNOWN = {
    "the same tensor into two ReLUs": [("convolution", 0, 0), ("relu", 1, 0), ("relu", 1, 0)],
    "a residual": [("convolution", 0, 0), ("relu", 1, 0), ("convolution", 2, 0), ("add", 1, 3)],
    "a view that lives on": [("convolution", 0, 0), ("transposed", 1, 0), ("relu", 1, 0)],
    "the ReLU of a view": [("convolution", 0, 0), ("transposed", 1, 0), ("relu", 2, 0)],
    "a part": [("convolution", 0, 0), ("halves", 1, 0), ("add", 1, 2)],
    "the graph's input": [("relu", 0, 0), ("add", 0, 1)],
    "other layouts": [("channels last", 0, 0), ("relu", 1, 0), ("add", 2, 0), ("relu", 3, 0)],
}


@pytest.mark.parametrize(("training", "dynamic"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("name", KNOWN)
def test_what_lives_on_is_not_written_over(name, training, dynamic):
    steps = KNOWN[name]
    # All that comes before the ReLU is a result, too.
    program = Program(steps, range(len(steps) + 1))
    x = integers(2, 4, 6, 6)
    assert_compiled_as_eager(program, x, training=training, dynamic=dynamic)


@pytest.mark.parametrize("results", [(2,), (1, 2), (3,)])
def test_a_change_after_the_relu(results):
    steps = [("convolution", 0, 0), ("relu", 1, 0), ("add in place", 1 + (results[0] == 3), 0)]
    assert_compiled_as_eager(Program(steps, results), integers(2, 4, 6, 6), training=False)


@settings(max_examples=5, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9)),
        min_size=2,
        max_size=6,
    ),
    results=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    mutation=st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 9), st.just(0)),
    training=st.booleans(),
    dynamic=st.booleans(),
)
def test_any_program(steps, results, mutation, training, dynamic):
    torch._dynamo.reset()
    if not training:
        steps = [*steps[:-1], mutation, steps[-1]]
    program = Program([*steps, ("relu", 9, 0)], [*results, len(steps) + 1])
    assert_compiled_as_eager(program, integers(2, 4, 6, 6), training=training, dynamic=dynamic)
