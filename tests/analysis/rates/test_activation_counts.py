"""What counting rates does to a model, and what a model may do meanwhile."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from models import snapshot
from rates_cases import Net, batches, rates_of, train
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

import relustat
from relustat.analysis.rates.activation_rates import ActivationRates


def hooks_of(model):
    return [
        (name, len(parameter._post_accumulate_grad_hooks or ()))
        for name, parameter in model.named_parameters()
    ]


def test_opening_and_closing_leaves_nothing_behind(monkeypatch):
    model = Net()
    before, hooks = snapshot(model), hooks_of(model)
    rates = ActivationRates(model)
    assert snapshot(model) != before
    assert hooks_of(model) != hooks
    rates.close()
    rates.close()
    assert (snapshot(model), hooks_of(model)) == (before, hooks)
    train(model, batches([2]))
    assert rates.outputs == rates.gradients == {}
    with pytest.raises(ValueError, match="snapshot: rates must be open, got closed rates"):
        rates.snapshot(0)
    with pytest.raises(ValueError, match="cannot be entered again"), rates:
        pass

    def failing(*_):
        raise RuntimeError("out of hooks")

    monkeypatch.setattr(nn.Parameter, "register_post_accumulate_grad_hook", failing)
    with pytest.raises(RuntimeError, match="out of hooks"):
        ActivationRates(model)
    assert (snapshot(model), hooks_of(model)) == (before, hooks)


def test_a_watched_model_can_have_its_gradients_counted_only():
    model = Net()
    with relustat.watch(model):
        before = snapshot(model)
        with pytest.raises(ValueError, match=r"watched once at a time.*close\(\) that watch"):
            ActivationRates(model)
        assert snapshot(model) == before
        with ActivationRates(model, outputs=False) as rates:
            train(model, batches([2]))
            rates.snapshot(0)
    assert list(rates.gradients) == [
        *("conv.weight", "conv.bias", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    ]


def test_copies_are_not_counted_and_the_model_can_go():
    model = Net()
    rates = ActivationRates(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        train(other, batches([2]))
    rates.snapshot(0)
    assert rates.outputs == rates.gradients == {}
    with ActivationRates(other) as of_copy:
        train(other, batches([2]))
        of_copy.snapshot(0)
    assert len(of_copy.outputs) == 5
    assert len(of_copy.gradients) == 6
    train(model, batches([2]))
    gone = weakref.ref(model)
    del model, rates, other
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "options",
    [
        {"use_reentrant": True},
        {"use_reentrant": False},
        {
            "use_reentrant": False,
            "context_fn": lambda: create_selective_checkpoint_contexts(
                [torch.ops.aten.abs.default]
            ),
        },
    ],
    ids=["reentrant", "not reentrant", "selective"],
)
def test_a_recomputation_is_not_counted(options):
    model = Net()

    def forward(x):
        return checkpoint(model, x, **options)

    with ActivationRates(model) as rates:
        forward(torch.randn(3, 2, 4, 4, requires_grad=True)).sum().backward()
        rates.snapshot(0)
    assert len(model.seen["drop"]) == 2
    for name, found in rates.outputs.items():
        assert found.activation.tolist() == [rates_of(model.seen[name][:1])[0]]


def test_compiled_models_are_counted():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    for _ in range(2):  # the second time with a graph of the first
        inputs = [torch.randn(4, 3) for _ in range(2)]
        with ActivationRates(model) as rates:
            outputs = [compiled(x) for x in inputs]
            sum(outputs).sum().backward()
            rates.snapshot(0)
        assert list(rates.outputs) == ["1", "2"]
        assert list(rates.gradients) == ["0.weight", "0.bias"]
        rectified = [model[:2](x).detach().numpy() for x in inputs]
        for name, seen in [("1", rectified), ("2", [y.detach().numpy() for y in outputs])]:
            activation, death = rates_of(seen)
            assert rates.outputs[name].activation.tolist() == [activation]
            assert rates.outputs[name].death.tolist() == [death]


class Broken(nn.Module):
    """Compiled to several graphs, a dropout layer between them."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 8)
        self.drop = nn.Dropout(0.0)

    def forward(self, x):
        x = F.relu(self.fc(x))
        torch._dynamo.graph_break()
        x = self.drop(x)
        torch._dynamo.graph_break()
        return x.sum()


def test_a_compiled_training_step_is_counted_as_an_eager_one():
    model = Broken()
    inputs = [torch.randn(4, 3) for _ in range(2)]

    def step(x):
        model.zero_grad()
        model(x).backward()

    found = []
    for run in (step, torch.compile(step, backend="eager")):
        with ActivationRates(model) as rates:
            for x in inputs:
                run(x)
            rates.snapshot(0)
        found.append(str(rates))
    assert list(rates.outputs) == ["relu", "drop"]
    assert found[0] == found[1]


class Ops(TorchDispatchMode):
    """Notes the ops that are called."""

    def __init__(self):
        super().__init__()
        self.called = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.called.append(func)
        return func(*args, **(kwargs or {}))


def test_gradients_are_counted_without_asking_the_device():
    model = nn.Linear(3, 2)
    with ActivationRates(model) as rates:
        loss = model(torch.ones(1, 3)).sum()
        with Ops() as ops:
            loss.backward()
        assert torch.ops.aten.gt.Scalar in ops.called
        assert torch.ops.aten._local_scalar_dense.default not in ops.called
        rates.snapshot(0)
    assert rates.gradients["weight"].activation.tolist() == [1.0]
