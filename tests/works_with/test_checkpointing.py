"""Activation checkpointing in all its forms, and hooks on what autograd saves: counted once."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from checkpointing_cases import Model, assert_same, calls, trained, whole
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import checkpoint, checkpoint_sequential, set_checkpoint_early_stop

import relustat
from relustat import Counters, CountingReLU, MaxPool2d
from relustat.functional import counting_relu


def in_halves(model, x, **options):
    y, switches = checkpoint(model.encode, x, **options)
    return checkpoint(model.decode, y, switches, **options)


def nested(model, x, **options):
    def run(x):
        return in_halves(model, x, **options)

    return checkpoint(lambda x: checkpoint(run, x, **options), x, **options)


class Calling(nn.Module):
    """Calls its model as ``how`` says, so that the model is not the root of what is watched."""

    def __init__(self, model, how):
        super().__init__()
        self.model, self.how = model, how

    def forward(self, x):
        return self.how(self.model, x)


HOWS = [whole, in_halves, nested]


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("how", HOWS)
def test_gradients_and_counts_are_those_without_checkpoints(device, how, use_reentrant):
    model = Model().to(device)
    plain = copy.deepcopy(model)
    x = torch.randn(2, 3, 9, 9, device=device)
    run = functools.partial(how, use_reentrant=use_reentrant)
    assert_same(trained(model, x, run), trained(plain, x, lambda model, x: model(x)))


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("how", HOWS)
def test_a_watched_model_counts_once(device, how, use_reentrant):
    model = Calling(Model(nn.ReLU), functools.partial(how, use_reentrant=use_reentrant)).to(device)
    plain = copy.deepcopy(model)
    plain.how = lambda model, x: model(x)
    x = torch.randn(2, 3, 9, 9, device=device)
    watched = []
    for each in (model, plain):
        with relustat.watch(each) as watch:
            result = trained(each, x, lambda model, x: model(x))
        watched.append((result, list(watch.stats.values())))
    assert_same(watched[0][0], watched[1][0])
    assert watched[0][1] == watched[1][1]
    assert [stats.calls for stats in watched[0][1]] == [1] * 5
    assert torch._C._len_torch_function_stack() == 0


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_watched_model_that_is_checkpointed_from_outside_counts_once(use_reentrant):
    model = Model(nn.ReLU)
    with relustat.watch(model) as watch:
        trained(
            model, torch.randn(2, 3, 9, 9), functools.partial(whole, use_reentrant=use_reentrant)
        )
    assert calls(watch) == dict.fromkeys(
        ("relu", "functional_relu", "relu_in_place", "functional_relu_1", "clamp"), 1
    )


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_checkpoint_sequential_counts_once(device, segments, use_reentrant):
    model = nn.Sequential(
        *(nn.Conv2d(3, 3, 3, padding=1), CountingReLU(), MaxPool2d(3, 1)),
        *(nn.Conv2d(3, 3, 3, padding=1), CountingReLU(inplace=True), MaxPool2d(2)),
    ).to(device)
    plain = copy.deepcopy(model)
    x = torch.randn(2, 3, 9, 9, device=device)
    run = functools.partial(checkpoint_sequential, segments=segments, use_reentrant=use_reentrant)
    ours = trained(model, x, lambda model, x: run(model, input=x))
    assert_same(ours, trained(plain, x, lambda model, x: model(x)))


def test_without_early_stop_every_call_is_repeated_and_none_counted_again(device):
    relu = CountingReLU(every=2)
    x = torch.randn(4, 3, device=device, requires_grad=True)
    with set_checkpoint_early_stop(False):
        for _ in range(4):
            checkpoint(relu, x, use_reentrant=False).sum().backward()
    assert relu.stats.calls == 2


def test_double_backward_through_a_checkpoint(device):
    model = Model().to(device, torch.float64)
    plain = copy.deepcopy(model)
    x = torch.randn(2, 3, 9, 9, device=device, dtype=torch.float64)
    seconds = []
    for each, run in (
        (model, functools.partial(whole, use_reentrant=False)),
        (plain, Model.forward),
    ):
        leaf = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(run(each, leaf).pow(3).sum(), leaf, create_graph=True)
        seconds.append(torch.autograd.grad(first.pow(2).sum(), leaf)[0])
        assert each.relu.stats.calls == each.relu_in_place.stats.calls == 1
    assert torch.equal(*seconds)


@pytest.mark.parametrize(
    "hooks",
    [save_on_cpu, lambda: saved_tensors_hooks(lambda x: x.numpy(force=True), torch.from_numpy)],
    ids=["save_on_cpu", "hooks"],
)
def test_what_is_saved_may_be_kept_elsewhere(hooks):
    model = Model()
    plain = copy.deepcopy(model)

    def run(model, x):
        with hooks():
            return model(x)

    x = torch.randn(2, 3, 9, 9)
    assert_same(trained(model, x, run), trained(plain, x, lambda model, x: model(x)))


def test_an_exception_while_recomputing_ends_with_the_backward():
    class Once(nn.Module):
        def forward(self, x):
            if torch._C._current_graph_task_id() != -1:
                raise ValueError("not twice")
            return F.relu(x).sin()

    model = nn.Sequential(Once())
    x = torch.randn(2, 3, requires_grad=True)
    with relustat.watch(model) as watch:
        output = checkpoint(model, x, use_reentrant=False)
        with pytest.raises(ValueError, match="not twice"):
            output.sum().backward()
        assert torch._C._len_torch_function_stack() == 0
        model(x)
    assert calls(watch) == {"0.relu": 2}


def test_a_forward_in_a_backward_hook_is_not_counted(device):
    model = nn.Sequential(nn.Linear(3, 4), CountingReLU()).to(device)
    counters = Counters()
    x = torch.randn(2, 3, device=device, requires_grad=True)
    y = model(x)
    expected = F.relu(x)
    seen = []
    y.register_hook(lambda _: seen.extend([model(x), counting_relu(x, counters)]))
    with relustat.watch(model) as watch:
        y.sum().backward()
    assert torch.equal(seen[0], y)
    assert torch.equal(seen[1], expected)
    assert model[1].stats.calls == 1
    assert counters.stats.calls == 0
    assert watch.stats == {}
    model(x)
    assert model[1].stats.calls == 2
