"""Every ReLU found and named, and the model left as it was."""

import contextlib
import copy
import pickle
import threading

import pytest
import torch
import torch.nn.functional as F
from oracle import assert_counts, same_bits
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import relustat
from relustat import CountingReLU, LinearBins


class FunctionalReLU(nn.Module):
    def forward(self, x):
        return F.relu(x)


class CountReluCalls(TorchDispatchMode):
    """How often aten's relu and relu_ run."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += func in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)
        return func(*args, **(kwargs or {}))


class BasicBlock(nn.Module):
    """ResNet-18's: one ReLU module, called twice."""

    def __init__(self, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.down = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.down(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8), BasicBlock(8))
        self.layer2 = nn.Sequential(BasicBlock(8, 2), BasicBlock(8))

    def forward(self, x):
        return self.layer2(self.layer1(self.maxpool(self.relu(self.conv1(x)))))


RESNET_NAMES = ["relu"] + [
    f"layer{layer}.{block}.relu{suffix}"
    for layer in (1, 2)
    for block in (0, 1)
    for suffix in ("", "_1")
]


class BasicConv(nn.Module):
    def __init__(self, *sizes, **options):
        super().__init__()
        self.conv = nn.Conv2d(*sizes, **options)
        self.bn = nn.BatchNorm2d(sizes[1])

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Only calls F.relu, in place."""

    def __init__(self, channels):
        super().__init__()
        self.one = BasicConv(channels, 4, kernel_size=1)
        self.three = nn.Sequential(
            BasicConv(channels, 4, kernel_size=1), BasicConv(4, 4, kernel_size=3, padding=1)
        )

    def forward(self, x):
        x = F.relu(x, inplace=False)
        return F.relu(torch.cat([self.one(x), self.three(x)], 1), inplace=True)


def inception():
    return nn.Sequential(BasicConv(3, 4, kernel_size=3), Inception(4), Inception(8))


INCEPTION_NAMES = ["0.relu"] + [
    f"{block}.{name}"
    for block in (1, 2)
    for name in ("relu", "one.relu", "three.0.relu", "three.1.relu", "relu_1")
]


def snapshot(model):
    """All that a module has, but for the contents of its tensors."""
    return [
        (
            name,
            type(module),
            sorted(module.__dict__),
            module.__dict__.get("forward"),
            {
                key: list(value)
                for key, value in module.__dict__.items()
                if "hooks" in key and value is not None
            },
        )
        for name, module in model.named_modules()
    ]


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
    assert {name: stats.calls for name, stats in outer.stats.items()} == {"0.0.relu": 1, "0.1": 1}
    assert {name: stats.calls for name, stats in inner.stats.items()} == {"0.relu": 1, "1": 1}
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


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.relu = nn.ReLU()
        self.error = error

    def forward(self, x):
        x = F.relu(self.relu(x))
        if self.error:
            raise self.error
        return x


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()], ids=repr)
def test_an_exception_in_the_forward(error):
    model = nn.Sequential(nn.Identity(), Failing(error))
    before = snapshot(model)
    watch = relustat.watch(model)
    with pytest.raises(type(error)), watch:
        model(torch.randn(2, 3))
    assert snapshot(model) == before
    assert torch._C._len_torch_function_stack() == 0
    assert list(watch.stats) == ["1.relu", "1.functional_relu"]


def test_counting_goes_on_after_an_exception():
    model = Failing(RuntimeError("no"))
    x = torch.randn(2, 3)
    with relustat.watch(model) as watch:
        with pytest.raises(RuntimeError):
            model(x)
        assert torch._C._len_torch_function_stack() == 0
        model.error = None
        model(x)
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "relu": 2,
        "functional_relu": 2,
    }


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
    assert [stats.widths for stats in watch.stats.values()] == [(5,), (5,), (5,), (7,), (5,)]
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
    assert any(
        text.startswith("scripted: a TorchScript module") for text in watch.report().warnings
    )


def test_two_threads_through_one_watched_model():
    model = ResNet().eval()
    x = torch.randn(1, 3, 32, 32)

    def work():
        with torch.no_grad():
            for _ in range(20):
                model(x)

    with relustat.watch(model) as watch:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert list(watch.stats) == RESNET_NAMES
    assert {stats.calls for stats in watch.stats.values()} == {60}


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_while_the_watch_stays_open(error):
    model = nn.Sequential(nn.Identity(), Failing(error()))
    x = torch.randn(2, 3)
    with relustat.watch(model) as watch:
        with pytest.raises(error):
            model(x)
        F.relu(x)
        model[1].error = None
        model(x)
        assert torch._C._len_torch_function_stack() == 0
        F.relu(x)
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "1.relu": 2,
        "1.functional_relu": 2,
    }


def test_an_interrupt_that_the_model_catches():
    class Catching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Failing(KeyboardInterrupt())
            self.relu = nn.ReLU()

        def forward(self, x):
            try:
                return self.inner(x)
            except KeyboardInterrupt:
                return F.relu(self.relu(x))

    model = Catching()
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
        model(torch.randn(2, 3))
    assert torch._C._len_torch_function_stack() == 0
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "inner.relu": 2,
        "inner.functional_relu": 2,
        "relu": 2,
        "functional_relu": 2,
    }


@pytest.mark.parametrize("nested", [False, True])
def test_an_interrupt_among_other_modes(nested):
    model = Failing(KeyboardInterrupt())
    watch = relustat.watch(model)
    x = torch.randn(2, 3)
    inner = torch.device("cpu") if nested else contextlib.nullcontext()
    with pytest.raises(KeyboardInterrupt), torch.device("meta"), inner:
        model(x)
    watch.close()
    assert torch._C._len_torch_function_stack() == 0
    assert torch.empty(1).device.type == "cpu"


def test_closing_while_another_thread_is_inside():
    inside, closed = threading.Event(), threading.Event()

    class Waiting(nn.Module):
        def forward(self, x):
            y = F.relu(x)
            inside.set()
            closed.wait()
            return F.relu(y)

    model = Waiting()
    before = snapshot(model)
    watch = relustat.watch(model)
    left = []

    def work():
        model(torch.randn(2, 3))
        left.append(torch._C._len_torch_function_stack())
        F.relu(torch.randn(2, 3))

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    watch.close()
    closed.set()
    thread.join()
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"relu": 1}
    assert left == [0]
    assert snapshot(model) == before


def test_closing_inside_a_forward():
    class Closing(nn.Module):
        def forward(self, x):
            x = F.relu(x)
            relustat.unwatch(self)
            return F.relu(x)

    model = Closing()
    watch = relustat.watch(model)
    model(torch.randn(2, 3))
    assert torch._C._len_torch_function_stack() == 0
    assert list(watch.stats) == ["relu"]


def test_unwatch_finds_a_forgotten_watch():
    model = nn.Sequential(nn.ReLU())
    before = snapshot(model)
    relustat.watch(model)
    relustat.unwatch(model)
    assert snapshot(model) == before
    relustat.unwatch(model)
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    assert repr(watch) == "<Watch of a Sequential, closed>"
    with pytest.raises(ValueError, match="a closed watch cannot be entered again"), watch:
        pass


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


def test_compiled_modules_are_refused():
    model = nn.Sequential(torch.compile(nn.ReLU()), nn.ReLU())
    before = snapshot(model)
    with pytest.raises(ValueError, match="compiled modules cannot be watched, got 0; put"):
        relustat.watch(model)
    assert snapshot(model) == before


def test_a_model_that_is_compiled_while_watched_runs_and_is_not_counted():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    expected = model(x)
    with relustat.watch(model) as watch:
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(x), expected)
        assert watch.stats == {}
        assert "1: never called" in watch.report().warnings
        model(x)
    assert watch.stats["1"].calls == 1
    assert torch.equal(compiled(x), expected)


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
