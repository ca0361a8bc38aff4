"""What is not counted is named, once, with its reason, and nothing else is."""

import pytest
import torch
import torch.nn.functional as F
from one_relu import watched
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import relustat


class Calls(nn.Module):
    """A function of a layer's output."""

    def __init__(self, function, layer=None):
        super().__init__()
        self.layer = layer or nn.Linear(4, 6)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


def warnings_of(model, x=None, times=1):
    with torch.no_grad(), relustat.watch(model) as watch:
        for _ in range(times):
            model(torch.randn(16, 4) if x is None else x)
    assert watch.stats == {}
    return watch.report().warnings


def assigned(x):
    x[x < 0] = 0
    return x


ALIKE = {
    "maximum": lambda x: torch.maximum(x, torch.zeros(())),
    "max": lambda x: x.max(torch.zeros_like(x)),
    "where": lambda x: x.where(x >= 0, 0),
    "mul": lambda x: (x > 0).float() * x,
    "mul in place": lambda x: x.mul_(x > 0),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "masked_fill in place": lambda x: x.masked_fill_(x < 0, 0),
    "setitem": assigned,
}
NOT_ALIKE = {
    "dropout": lambda x: x * (torch.rand_like(x) > 0.5),
    "gate": lambda x: x * x.sigmoid(),
    "clamp between tensors": lambda x: x.clamp(torch.zeros(()), torch.ones(())),
    "another value": lambda x: torch.where(x > 0, x, -1.0),
    "larger of two": lambda x: torch.maximum(x, x.flip(0)),
}


@pytest.mark.parametrize("name", ALIKE)
def test_calls_that_give_what_a_relu_gives(name):
    reason = f"{name.split()[0]}: not counted, it gives what a ReLU gives; F.relu would be counted"
    assert warnings_of(Calls(ALIKE[name])) == [reason]
    # A few numbers prove nothing; those of several calls together do.
    model = Calls(ALIKE[name])
    with torch.no_grad():
        model.layer.weight.copy_(torch.eye(4).repeat(2, 1)[:6])
        model.layer.bias.zero_()
    x = torch.tensor([[1.0, -1.0, 2.0, -2.0]])
    assert warnings_of(model, x) == ["no ReLU was seen"]
    assert warnings_of(model, x, times=3) == [reason]


@pytest.mark.parametrize("name", NOT_ALIKE)
def test_calls_that_do_not(name):
    assert warnings_of(Calls(NOT_ALIKE[name]), times=3) == ["no ReLU was seen"]


def test_a_relu_by_hand_among_other_products_is_found_by_its_position():
    def several(x):
        return x * x * (x * (x > 0)) * (torch.rand_like(x) > 0.5)

    assert "mul: not counted" in warnings_of(Calls(several), times=2)[0]


def test_modes_of_dispatch_see_nothing_of_it():
    """Else selective checkpointing would restore other tensors than were saved."""

    class Seen(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.ops = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.ops.append(func)
            return func(*args, **(kwargs or {}))

    model, x = Calls(ALIKE["mul"]), torch.randn(16, 4)
    with Seen() as plain:
        model(x)
    with relustat.watch(model), Seen() as seen:
        model(x)
    assert seen.ops == plain.ops


def test_only_a_few_calls_are_looked_at(monkeypatch):
    from relustat.watching import lookalikes

    looks = []
    monkeypatch.setattr(lookalikes, "is_symbolic", lambda _: bool(looks.append(1)))
    warnings_of(Calls(lambda x: x * x), times=200)
    assert len(looks) == 2 * 64


def test_other_activations_have_their_number():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.acts = nn.Sequential(nn.ReLU6(), nn.ReLU6(), nn.LeakyReLU(0.1), nn.Sigmoid())
            self.relu = nn.LeakyReLU(0.0)

        def forward(self, x):
            return F.gelu(F.gelu(self.relu(self.acts(x))))

    with relustat.watch(Mixed()) as watch:
        watch._model(torch.randn(4, 3))
    assert list(watch.stats) == ["relu"]
    assert [each for each in watch.report().warnings if "not counted" in each] == [
        "1 GELU, not counted: try activations='all'",
        "1 LeakyReLU, not counted: try activations='relu-like'",
        "2 ReLU6, not counted: try activations='relu-like'",
    ]


# Code of Inductor makes no calls that a watch sees.
@pytest.mark.parametrize("backend", ["", "aot_eager", "inductor"])
def test_other_functions_are_named_by_every_watch_of_a_graph(backend):
    model = Calls(F.silu)
    called = torch.compile(model, backend=backend, fullgraph=True) if backend else model
    for _ in range(2):
        with relustat.watch(model) as watch:
            called(torch.randn(2, 4))
        expected = ["no ReLU was called: 1 SiLU; try activations='all'"]
        assert watch.report().warnings == expected
        watch.reset()
    assert watch.report().warnings == ["no ReLU was seen"]


def test_relus_within_larger_ops_are_named():
    rnn, cell = nn.RNN(4, 5, nonlinearity="relu"), nn.RNNCell(5, 5, nonlinearity="relu")
    weights = [torch.randn(5, 5), torch.randn(5, 5)]

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.cell = rnn, cell

        def forward(self, x):
            y = self.cell(self.rnn(x)[0][-1])
            return torch.rnn_relu_cell(y, torch.zeros_like(y), *weights)

    reason = "not counted, it computes a ReLU within a larger op"
    assert warnings_of(Recurrent(), torch.randn(3, 2, 4)) == [
        f"{name}: {reason}" for name in ("rnn", "cell", "rnn_relu_cell")
    ]
    plain = nn.Sequential(nn.RNNCell(4, 5), nn.GRUCell(5, 5))
    assert warnings_of(plain) == ["no ReLU was seen"]


def test_reasons_are_given_once_and_never_with_the_opposite():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
    parameters = dict(model.named_parameters())

    def loss(parameters, x):
        return torch.func.functional_call(model, parameters, (x,)).sum()

    with relustat.watch(model) as watch:
        per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
        per_sample(parameters, torch.randn(5, 4))
        per_sample(parameters, torch.randn(5, 4))
    assert watch.report().warnings == ["1: not counted, it ran under a torch.func transform"]
    meta = nn.Sequential(nn.ReLU())
    assert warnings_of(meta, torch.randn(2, 3, device="meta")) == [
        "0: not counted, its input was on the meta device"
    ]
    assert warnings_of(meta, torch.randn(2, 3).to_sparse()) == [
        "0: not counted, its input was a Tensor of torch.float32, torch.sparse_coo"
    ]
    nested = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(1, 3)])
    assert warnings_of(meta, nested) == [
        "0: not counted, its input was a nested tensor of torch.float32"
    ]
    with relustat.watch(meta) as watch:
        torch.jit.trace(meta, torch.randn(2, 3), check_trace=False)
    assert watch.report().warnings == ["0: not counted, it was traced"]


def test_parts_in_torchscript_are_named():
    @torch.jit.script
    def relu(x):
        return torch.relu(x)

    @torch.jit.script
    def double(x):
        return x * 2

    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.act, self.other = relu, double
            self.block = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
            self.traced = torch.jit.trace(nn.Linear(4, 4), torch.ones(2, 4))

        def forward(self, x):
            return self.other(self.act(self.traced(self.block(relu(x)))))

    what = "inside which nothing is seen"
    assert warnings_of(Parts()) == [
        f"act: not counted, it is a TorchScript function, {what}",
        f"block: not counted, it is a TorchScript module, {what}",
        f"traced: not counted, it is a TorchScript module, {what}",
    ]


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(2, 4))])
def test_torchscript_as_the_whole_model(make):
    model = make(nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval())
    for each in (model, torch.jit.freeze(model) if make is torch.jit.script else model):
        assert warnings_of(each) == [
            "(model): not counted, it is a TorchScript module, inside which nothing is seen"
        ]
        relustat.unwatch(each)


def test_what_cannot_be_watched():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    exported = torch.export.export(model, (torch.ones(2, 4),))
    for call in (relustat.watch, relustat.unwatch, relustat.swap, relustat.unswap):
        with pytest.raises(TypeError, match=r"got ExportedProgram; its module\(\) is one"):
            call(exported)
    with pytest.raises(TypeError, match=r"must be an nn\.Module, got function"):
        relustat.watch(lambda x: x)


@pytest.mark.parametrize("how", ["export", "decompose", "unflatten", "make_fx", "compile"])
def test_exported_programs_are_counted_as_the_model(how):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(3, 4, 1), nn.ReLU(), nn.BatchNorm1d(4), nn.ReLU()).eval()
    x = torch.randn(2, 3, 5)
    with relustat.watch(model) as expected:
        model(x)
    program = torch.export.export(model, (x,))
    called = watched = program.module()
    if how == "decompose":
        called = watched = program.run_decompositions().module()
    elif how == "unflatten":
        called = watched = torch.export.unflatten(program)
    elif how == "make_fx":
        called = watched = torch.fx.experimental.proxy_tensor.make_fx(model)(x)
    elif how == "compile":
        called = torch.compile(watched, backend="eager")
    with relustat.watch(watched) as watch:
        called(x)
    assert list(watch.stats.values()) == list(expected.stats.values())
    assert watch.report().notes == []
    names = ["1.relu", "3.relu"] if how == "unflatten" else ["relu", "relu_1"]
    assert list(watch.stats) == names


def test_a_lazy_model_runs_as_before_and_is_counted():
    model = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten())
    stats, notes = watched(model, torch.randn(2, 3, 8, 8))
    assert (stats.widths, stats.calls, notes) == ((8,), 1, [])


def test_many_products_before_a_relu_by_hand_do_not_hide_it():
    def gated(x):
        for _ in range(4):
            x = x * torch.sigmoid(x) * torch.exp(-0.1 * x)
        return x * (x > 0)

    assert "mul: not counted" in warnings_of(Calls(gated), times=4)[0]


@pytest.mark.parametrize("shape", [(8192, 1), (2048, 3), (9, 8192)])
def test_inputs_of_any_shape_are_compared(shape):
    x = torch.randn(shape)
    if shape[1] > 4096:
        x[0] = 0  # padding
    model = Calls(lambda x: torch.where(x > 0, x, 0), nn.Identity())
    assert "where: not counted" in warnings_of(model, x)[0]


def test_products_of_signs_prove_nothing():
    model = Calls(lambda x: x.sign() * F.relu(x.sign()))
    with torch.no_grad(), relustat.watch(model) as watch:
        model(torch.randn(16, 4))
    assert not any("mul" in warning for warning in watch.report().warnings)


def test_calls_that_raise_are_not_named():
    def wrong(x):
        for bad in ("a", x > 0, torch.randn(2, dtype=torch.complex64)):
            with pytest.raises((TypeError, RuntimeError)):
                F.relu(bad)
        return x

    assert warnings_of(Calls(wrong)) == ["no ReLU was seen"]


def test_a_relu_as_the_whole_model_has_a_name():
    with relustat.watch(nn.ReLU()) as watch:
        pass
    assert watch.report().warnings == ["no ReLU was seen", "(model): never called"]
    by_hand = type("ByHand", (nn.ReLU,), {"forward": lambda _, x: x * (x > 0)})()
    assert warnings_of(by_hand, torch.randn(8, 8)) == [
        "mul: not counted, it gives what a ReLU gives; F.relu would be counted"
    ]


def test_modes_of_users_see_the_functions_that_the_model_calls():
    class Seen(TorchFunctionMode):
        def __init__(self):
            super().__init__()
            self.functions = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.functions.append(func)
            return func(*args, **(kwargs or {}))

    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Flatten())
    x = torch.randn(3, 4)
    with Seen() as plain:
        model(x)
    with relustat.watch(model) as watch, Seen() as seen:
        model(x)
    assert seen.functions == plain.functions
    assert watch.stats["1"].widths == (6,)
