import threading

import pytest
import torch
import torch.nn.functional as F
from models import BasicConv, ResNet
from torch import nn

import relustat
from relustat.analysis import layer_outputs


@pytest.fixture
def x():
    return torch.randn(2, 3, 32, 32)


def by_hooks(model, x, paths):
    found = {path: [] for path in paths}

    def keep(path):
        return lambda *call: found[path].append(call[-1].clone())

    handles = [model.get_submodule(path).register_forward_hook(keep(path)) for path in paths]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return found


def test_modules_called_once_and_twice(x):
    model = ResNet().eval()
    expected = by_hooks(model, x, ["conv1", "layer1.0.relu", "layer2"])
    names = ["layer2", "layer1.0.relu_1", "conv1", "layer1.0.relu"]
    with torch.no_grad():
        outputs = layer_outputs(model, x, names)
    assert list(outputs) == names
    assert torch.equal(outputs["conv1"], expected["conv1"][0])
    assert torch.equal(outputs["layer2"], expected["layer2"][0])
    for call, name in enumerate(["layer1.0.relu", "layer1.0.relu_1"]):
        assert torch.equal(outputs[name], expected["layer1.0.relu"][call])


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = BasicConv(3, 4, kernel_size=3)
        self.unused = nn.Linear(2, 2)
        self.pair = nn.AdaptiveMaxPool2d(2, return_indices=True)

    def forward(self, x):
        first = torch.relu(self.block(x) - 0.5)
        values, _ = self.pair(first)
        return values.clamp(min=0).flatten(1)


def test_functional_relus_have_the_names_of_watch(x):
    model = Mixed().eval()
    with relustat.watch(model) as watch, torch.no_grad():
        y = model(x)
    names = list(watch.stats)
    assert names == ["block.relu", "relu", "clamp"]
    with torch.no_grad():
        outputs = layer_outputs(model, x, [*names, ""])
        assert torch.equal(outputs["block.relu"], model.block(x))
        assert torch.equal(outputs["relu"], torch.relu(model.block(x) - 0.5))
        assert torch.equal(outputs[""], y)


def test_what_follows_is_not_computed(x):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(7, 7)).eval()
    assert layer_outputs(model, x, ["1"])["1"].shape == (2, 4, 30, 30)


def test_in_place_layers_do_not_change_what_was_taken(x):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(True), nn.ReLU6(True)).eval()
    outputs = layer_outputs(model, x, ["0", "1", "2"])
    assert outputs["0"].min() < 0
    assert torch.equal(outputs["2"], outputs["0"].clamp(0, 6))
    outputs["0"].sum().backward()
    assert model[0].weight.grad.count_nonzero() > 0


def test_counting_relus_do_not_count_it(x):
    model = relustat.swap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())).eval()
    layer_outputs(model, x, ["1"])
    assert model[1].counters.stats.calls == 0


class Both(nn.ReLU):
    """A ReLU that computes two: "concatenated ReLU"."""

    def forward(self, x):
        return torch.cat([F.relu(x), F.relu(-x)], 1)


def test_relus_within_a_relu_module(x):
    model = nn.Sequential(Both(), nn.Conv2d(6, 2, 1), nn.ReLU()).eval()
    with relustat.watch(model) as watch, torch.no_grad():
        model(x)
        outputs = layer_outputs(model, x, ["0", "0_1", "2"])
    assert list(watch.stats) == ["0", "0_1", "2"]
    assert torch.equal(outputs["0_1"], F.relu(-x))


def test_a_model_that_is_a_relu(x):
    outputs = layer_outputs(nn.ReLU().eval(), x, ["relu", ""])
    assert torch.equal(outputs["relu"], x.relu())
    assert torch.equal(outputs[""], x.relu())


def test_the_input_is_left_as_it_is(x):
    kept = x.clone()
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Identity()).eval()
    outputs = layer_outputs(model, x, ["1"])
    assert torch.equal(x, kept)
    same = layer_outputs(nn.Sequential(nn.Identity()).eval(), x, ["0"])["0"]
    x.zero_()
    assert torch.equal(same, kept)
    assert torch.equal(outputs["1"], kept.relu())


def test_other_threads_go_their_own_way(x):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    with torch.no_grad():
        expected, first = model(x), model[:2](2 * x)
        done = threading.Event()
        results = []

        def call():
            with torch.no_grad():
                while not done.is_set():
                    results.append(torch.equal(model(x), expected))

        thread = threading.Thread(target=call)
        thread.start()
        taken = [layer_outputs(model, 2 * x, ["1"])["1"] for _ in range(50)]
        done.set()
        thread.join()
    assert all(torch.equal(each, first) for each in taken)
    assert len(results) > 0
    assert all(results)


@pytest.mark.parametrize("dropout", [F.dropout, F.dropout2d])
def test_dropout_as_in_training(x, dropout):
    class Dropping(nn.Module):
        def __init__(self, **options):
            super().__init__()
            self.head = nn.Linear(32, 4)
            self.options = options

        def forward(self, x):
            return self.head(dropout(x, 0.5, **self.options))

    layer_outputs(Dropping(training=False).eval(), x, ["head"])
    message = rf"in evaluation mode, got F\.{dropout.__name__} with training=True in the model"
    with pytest.raises(ValueError, match=message):
        layer_outputs(Dropping().eval(), x, ["head"])


def test_a_model_that_catches_errors(x):
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            try:
                return self.relu(x)
            except Exception:
                return None

    assert torch.equal(layer_outputs(Careful().eval(), x, ["relu"])["relu"], x.relu())


def test_an_error_in_the_model_leaves_no_hooks(x):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(7, 7)).eval()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layer_outputs(model, x, ["1"])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch._C._len_torch_function_stack() == 0


def test_bad_input(x):
    model = Mixed().eval()
    with pytest.raises(ValueError, match=r"got 'block\.rellu'; near names: 'block\.relu'"):
        layer_outputs(model, x, ["block.rellu"])
    with pytest.raises(ValueError, match="got 'unused'; that module was not called"):
        layer_outputs(model, x, ["unused"])
    with pytest.raises(ValueError, match="must give a tensor, got 'pair', which gives a tuple"):
        layer_outputs(model, x, ["pair"])
    with pytest.raises(ValueError, match=r"at least one name, got \[\]"):
        layer_outputs(model, x, [])
    with pytest.raises(ValueError, match="got 'relu'"):
        layer_outputs(model, x, "relu")
    with pytest.raises(TypeError, match="layer must be a name, a string, got 4"):
        layer_outputs(model, x, [4])
    with pytest.raises(ValueError, match="got 'x'; the model has no layers but itself, ''"):
        layer_outputs(nn.Tanh().eval(), x, ["x"])
    model.block.train()
    with pytest.raises(ValueError, match="got 'block' in training mode"):
        layer_outputs(model, x, ["relu"])
    with pytest.raises(TypeError, match=r"must be an nn\.Module, got function"):
        layer_outputs(layer_outputs, x, ["relu"])
