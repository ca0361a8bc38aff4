"""Every ReLU found and named, and the model left as it was."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from models import (
    INCEPTION_NAMES,
    RESNET_NAMES,
    BasicBlock,
    FunctionalReLU,
    ResNet,
    inception,
    snapshot,
)
from oracle import assert_counts, same_bits
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import relustat
from relustat import CountingReLU, LinearBins


class CountReluCalls(TorchDispatchMode):
    """How often aten's relu and relu_ run."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += func in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("make", "names"), [(ResNet, RESNET_NAMES), (inception, INCEPTION_NAMES)])
def test_every_call_is_found_and_named(device, make, names):
    model = make().to(device)
    x = torch.randn(2, 3, 32, 32, device=device)
    plain = copy.deepcopy(model)
    before = snapshot(model)
    with CountReluCalls() as dispatched:
        expected = plain(x)
    expected.sum().backward()
    with relustat.watch(model) as watch:
        output = model(x)
        output.sum().backward()
    assert same_bits(output, expected)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert same_bits(ours.grad, theirs.grad)
    assert list(watch.stats) == names
    assert len(names) == dispatched.calls
    assert all(stats.calls == 1 for stats in watch.stats.values())
    assert snapshot(model) == before
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_counts_are_those_of_the_inputs(device):
    model = ResNet().to(device)
    seen = []
    handles = [
        module.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    bins = LinearBins(-3, 3, 100)
    with relustat.watch(model, bins) as watch:
        model(torch.randn(2, 3, 32, 32, device=device))
    for x, stats in zip(seen, watch.stats.values(), strict=True):
        assert_counts(stats, x, bins, unit_dim=1)
    for handle in handles:
        handle.remove()


def test_in_place_stays_in_place(device):
    model = nn.Sequential(nn.ReLU(inplace=True))
    x = torch.randn(3, 4, device=device)
    with relustat.watch(model):
        assert model(x) is x
    assert (x >= 0).all()


def test_several_models_at_once():
    one, two = ResNet(), inception()
    x = torch.randn(1, 3, 32, 32)
    with relustat.watch(one) as first, relustat.watch(two) as second:
        one(x)
        two(x)
        one(x)
    assert list(first.stats) == RESNET_NAMES
    assert list(second.stats) == INCEPTION_NAMES
    assert {stats.calls for stats in first.stats.values()} == {2}
    assert {stats.calls for stats in second.stats.values()} == {1}


@pytest.mark.parametrize("inner_first", [False, True])
def test_a_model_and_its_part_at_once(inner_first):
    model = ResNet()
    roots = [model, model.layer1]
    watches = {root: relustat.watch(root) for root in (roots[::-1] if inner_first else roots)}
    model(torch.randn(1, 3, 32, 32))
    model.layer1(torch.randn(1, 8, 8, 8))
    for watch in watches.values():
        watch.close()
    assert list(watches[model].stats) == RESNET_NAMES
    assert {stats.calls for stats in watches[model].stats.values()} == {1, 2}
    assert list(watches[model.layer1].stats) == [f"{b}.relu{s}" for b in (0, 1) for s in ("", "_1")]
    assert {stats.calls for stats in watches[model.layer1].stats.values()} == {2}
    assert torch._C._len_torch_function_stack() == 0


def test_a_call_that_is_not_replaced_counts_once_in_each_watch():
    class Clamp(nn.Module):
        def forward(self, x):
            return x.clamp(min=0)

    model = nn.Sequential(nn.Sequential(Clamp(), CountingReLU()))
    with relustat.watch(model) as outer, relustat.watch(model[0]) as inner:
        model(torch.randn(2, 3))
    assert {name: stats.calls for name, stats in outer.stats.items()} == {"0.0.clamp": 1, "0.1": 1}
    assert {name: stats.calls for name, stats in inner.stats.items()} == {"0.clamp": 1, "1": 1}
    assert model[0][1].stats.calls == 1


def test_counting_modules_go_on_counting(device):
    model = nn.Sequential(nn.Linear(3, 4), CountingReLU(), CountingReLU(inplace=True)).to(device)
    x = torch.randn(2, 3, device=device)
    with relustat.watch(model) as watch:
        model(x)
    assert list(watch.stats) == ["1", "2"]
    assert watch.stats["1"] == model[1].stats
    assert watch.stats["2"] == model[2].stats
    assert watch.stats["2"].calls == 1


def test_filters():
    model = nn.Sequential(nn.ReLU(), FunctionalReLU())
    x = torch.randn(2, 3)
    with relustat.watch(model, functional=False) as watch:
        model(x)
    assert list(watch.stats) == ["0"]
    with relustat.watch(model, modules=False) as watch:
        model(x)
    assert list(watch.stats) == ["1.relu"]
    assert not any("never called" in warning for warning in watch.report().warnings)


def test_pause_reset_and_close():
    model = nn.Sequential(nn.ReLU())
    x = torch.randn(2, 3)
    watch = relustat.watch(model)
    model(x)
    with watch.pause():
        model(x)
        with watch.pause():
            model(x)
        model(x)
    assert watch.stats["0"].calls == 1
    model(x)
    assert watch.stats["0"].calls == 2
    watch.reset()
    assert watch.stats == {}
    model(x)
    assert watch.stats["0"].calls == 1
    watch.close()
    watch.close()
    model(x)
    assert watch.stats["0"].calls == 1


def test_watching_twice_is_refused_and_changes_nothing():
    model = ResNet()
    with relustat.watch(model):
        hooks = snapshot(model)
        with pytest.raises(
            ValueError, match="watched once at a time, got a ResNet that is watched"
        ):
            relustat.watch(model)
        assert snapshot(model) == hooks
    with relustat.watch(model):
        pass
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got function"):
        relustat.watch(F.relu)


def test_calls_of_a_submodule_count():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    with relustat.watch(model) as watch:
        model[1](torch.randn(2, 4))
    assert list(watch.stats) == ["1.1"]


def test_copies_of_a_watched_model_are_not_watched():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    with relustat.watch(model) as watch:
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            twin(x)
        assert watch.stats == {}
        model(x)
    assert watch.stats["1"].calls == 1


def test_unit_dims_follow_the_layer():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(3, 5, 3)
            self.norm = nn.BatchNorm1d(5)
            self.linear = nn.Linear(6, 7)
            self.relus = nn.ModuleList(nn.ReLU() for _ in range(5))

        def forward(self, x):
            x = self.conv(x)  # [N, 5, 6]
            x = self.relus[0](x)
            x = self.relus[1](self.norm(x) + 1)
            x = self.relus[2](F.dropout(F.max_pool1d(x, 1), 0.5) * 2)
            x = self.relus[3](self.linear(x))  # [N, 5, 7]
            return self.relus[4](x.transpose(1, 2).reshape(2, 7, 5).contiguous())

    model = Tokens()
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3, 8))
    assert [stats.widths for stats in watch.stats.values()] == [(5,), (5,), (5,), (7,), (7,)]
    with relustat.watch(model, unit_dim=-1) as watch:
        model(torch.randn(2, 3, 8))
    assert [stats.widths for stats in watch.stats.values()] == [(6,), (6,), (6,), (7,), (5,)]


def test_unbatched_images_have_their_channels_first():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    with relustat.watch(model) as watch:
        model(torch.randn(3, 9, 9))
    assert watch.stats["1"].widths == (5,)


@pytest.mark.parametrize("training", [True, False])
def test_transformer_layers(training):
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="relu", batch_first=True)
    model = nn.TransformerEncoder(layer, 2).train(training)
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[0, 3:] = True
    with torch.no_grad(), relustat.watch(model) as watch:
        model(torch.randn(3, 5, 8), src_key_padding_mask=mask)
    assert list(watch.stats) == ["layers.0.relu", "layers.1.relu"]
    assert {stats.widths for stats in watch.stats.values()} == {(16,)}


def test_what_cannot_be_counted_is_passed_on_and_told():
    model = nn.Sequential(nn.ReLU())
    sparse = torch.eye(3).to_sparse()
    with relustat.watch(model) as watch:
        assert torch.equal(model(sparse).to_dense(), torch.eye(3))
    assert watch.stats == {}
    warnings = watch.report().warnings
    assert "0: not counted, its input was a Tensor of torch.float32, torch.sparse_coo" in warnings


def test_layers_never_called_and_scripted_ones_are_told():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.ReLU(), nn.ReLU()
            self.scripted = torch.jit.script(nn.Sequential(nn.ReLU()))

        def forward(self, x):
            return self.scripted(self.used(x))

    model = Model()
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    assert list(watch.stats) == ["used"]
    assert "unused: never called" in watch.report().warnings
    assert (
        "scripted: not counted, it is a TorchScript module, inside which nothing is seen"
    ) in watch.report().warnings


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_recomputation_is_not_counted(use_reentrant):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = BasicBlock(3)

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.block, x, use_reentrant=use_reentrant)

    model = Model()
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with relustat.watch(model) as watch:
        model(x).sum().backward()
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "block.relu": 1,
        "block.relu_1": 1,
    }
    assert torch._C._len_torch_function_stack() == 0


def test_a_unit_dim_that_an_input_lacks_breaks_nothing():
    model = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.ReLU())
    x = torch.randn(2, 3, 4)
    with relustat.watch(model, unit_dim=2) as watch:
        assert torch.equal(model(x), F.relu(x).flatten(1))
    assert list(watch.stats) == ["0"]
    assert any(
        warning.startswith("2: not counted, counting_relu: unit_dim must be in [-2, 1]")
        for warning in watch.report().warnings
    )
    assert not any("never called" in warning for warning in watch.report().warnings)


def test_forward_mode_through_a_watched_model():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    tangents = []
    for watched in (False, True):
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            if watched:
                with relustat.watch(model):
                    output = model(dual)
            else:
                output = model(dual)
            tangents.append(torch.autograd.forward_ad.unpack_dual(output).tangent)
    assert torch.equal(*tangents)


@pytest.mark.parametrize(
    "rearrange",
    [lambda x: x.mT, lambda x: x.transpose(1, 2), lambda x: x.mT.contiguous(), torch.adjoint],
)
def test_square_inputs_that_were_turned(rearrange):
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(6, 6, 1)

        def forward(self, x):
            return F.relu(rearrange(self.conv(x)))

    model = Turned()
    x = torch.randn(4, 6, 6)
    y = model(x)
    with relustat.watch(model) as watch:
        model(x)
    assert watch.stats["relu"].unit_zeros.tolist() == (y == 0).sum((0, 1)).tolist()


def test_forward_keeps_no_tensor_alive():
    kept = []

    class Layer(nn.Module):
        def forward(self, x):
            kept.append(weakref.ref(x))
            return x + 1

    model = nn.Sequential(Layer(), nn.ReLU(), Layer(), nn.ReLU(), Layer())
    gc.disable()
    try:
        with relustat.watch(model):
            model(torch.randn(2, 3))
        assert [x() for x in kept] == [None, None, None]
    finally:
        gc.enable()


def test_a_watch_that_is_not_closed_is_freed_with_its_model():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    watch = relustat.watch(model)
    model(torch.randn(2, 3))
    gc.collect()
    hooks = len(torch.nn.modules.module._global_module_registration_hooks)
    gone = weakref.ref(model), weakref.ref(watch)
    del model, watch
    gc.collect()
    assert [each() for each in gone] == [None, None]
    assert len(torch.nn.modules.module._global_module_registration_hooks) == hooks - 1
