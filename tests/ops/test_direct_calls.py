"""Plain tensors go to the dispatcher at once; everything else wants to see the call first."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from relustat import Counters
from relustat.functional import counting_relu
from relustat.ops import library


class Subclass(torch.Tensor):
    pass


class Seeing(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen.append(function)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(2, 3),
        lambda: torch.ones(2, 3, dtype=torch.bfloat16),
        lambda: nn.Parameter(torch.ones(2, 3)),
        lambda: torch.ones(2, 3, requires_grad=True),
        lambda: torch.ones(4, 6)[::2, ::2],
    ],
)
def test_plain(make):
    assert library.without_dispatcher.is_plain(make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(2, 3).as_subclass(Subclass),
        lambda: torch.ones(2, 3, device="meta"),
        lambda: torch.ones(2, 3).to_sparse(),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.ones(2, 3, dtype=torch.int64),
        lambda: torch.ones(2, 3, dtype=torch.complex64),
        lambda: [1.0],
        lambda: None,
    ],
)
def test_not_plain(make):
    assert not library.without_dispatcher.is_plain(make())


def test_not_plain_where_others_look_on():
    x, answers = torch.ones(2, 3), []

    def ask(x):
        answers.append(library.without_dispatcher.is_plain(x))
        return x * 2

    with Seeing():
        ask(x)
    torch.func.vmap(ask)(x)
    torch.func.grad(lambda x: ask(x).sum())(x)
    torch.jit.trace(ask, x, check_trace=False)
    assert answers == [False] * 4
    assert library.without_dispatcher.is_plain(x)


@pytest.mark.parametrize("inplace", [False, True])
def test_a_mode_sees_the_call_and_counts_are_the_same(inplace):
    x = torch.randn(4, 3)
    plain, seen = Counters(), Counters()
    counting_relu(x.clone(), plain, inplace=inplace)
    with Seeing() as mode:
        y = counting_relu(x.clone(), seen, inplace=inplace)
    assert counting_relu in mode.seen
    assert torch.equal(y, F.relu(x))
    assert seen.stats == plain.stats


@pytest.mark.parametrize("inplace", [False, True])
def test_errors_are_the_same_on_both_ways(inplace):
    counters = Counters(unit_dim=2)
    for context in (torch.no_grad(), Seeing()):
        with context, pytest.raises(IndexError, match="unit_dim must be in"):
            counting_relu(torch.ones(2, 3), counters, inplace=inplace)
    leaf = torch.ones(2, 3, requires_grad=True)
    for context in (torch.enable_grad(), Seeing()):
        with context, pytest.raises(RuntimeError, match="leaf Variable"):
            counting_relu(leaf, Counters(), inplace=True)
