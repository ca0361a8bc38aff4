"""Calls outside of ``model(x)``: seen within ``with watch.counting():``, else named."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import relustat


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.relu = nn.Linear(6, 8), nn.ReLU()
        self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.decode(self.relu(self.a(x)))

    def decode(self, z):
        return self.c(F.relu(self.b(z)))

    def step(self, x):
        return F.relu(self(x) - 1)

    def loop(self, z):
        for _ in range(3):
            z = F.relu(self.b(z))
        return z

    def encode(self, x):
        return self.relu(self.a(x))


INPUTS = {"forward": 6, "decode": 8, "step": 6, "loop": 8, "encode": 6}


def calls(watch):
    return {name: stats.calls for name, stats in watch.stats.items()}


@pytest.mark.parametrize(
    ("method", "sites"),
    [
        ("forward", ["relu", "functional_relu"]),
        ("decode", ["functional_relu"]),
        ("step", ["relu", "functional_relu", "functional_relu_1"]),
        ("encode", ["relu_1"]),
    ],
)
def test_methods_are_counted_under_the_names_of_their_positions(method, sites):
    model, x = Model(), torch.randn(5, INPUTS[method])
    with relustat.watch(model) as watch, watch.counting():
        for _ in range(3):
            getattr(model, method)(x)
    assert calls(watch) == dict.fromkeys(sites, 3)
    assert [warning for warning in watch.report().warnings if "not counted" in warning] == []
    assert watch.stats[sites[-1]].elements == 3 * 5 * (1 if method == "step" else 8)
    torch.relu(x)
    model(torch.randn(2, 6))
    assert torch._C._len_torch_function_stack() == 0


@pytest.mark.parametrize(
    ("method", "named"), [("forward", "decode"), ("decode", "decode"), ("step", "step")]
)
def test_else_methods_that_compute_relus_are_named(method, named):
    model = Model()
    with relustat.watch(model) as watch:
        getattr(model, method)(torch.randn(5, INPUTS[method]))
    assert [warning for warning in watch.report().warnings if "outside" in warning] == [
        f"{named}: not counted, it was called outside of the model's own call; "
        "`with watch.counting():` counts it"
    ]
    watch.reset()
    assert not any("outside" in warning for warning in watch.report().warnings)


def test_nothing_is_named_where_modules_and_parts_are_called():
    model = nn.Sequential(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), Model())
    with relustat.watch(model) as watch:
        model(torch.randn(2, 6))
        model[1].encode(model[0](torch.randn(2, 6)))
    assert calls(watch) == {"0.1": 2, "1.relu": 1, "1.functional_relu": 1, "1.relu'": 1}
    assert not any("outside" in warning for warning in watch.report().warnings)


def test_repeated_calls_in_a_block_are_one_site():
    model = Model()
    with relustat.watch(model) as watch, watch.counting():
        for _ in range(4):
            model.loop(torch.randn(5, 8))
    assert calls(watch) == {"functional_relu_2 after b": 12}


def test_relus_in_the_block_itself():
    model, x = nn.Linear(4, 8), torch.randn(16, 4)
    with relustat.watch(model) as watch:
        torch.relu(model(x))
        with watch.counting():
            y = torch.relu(model(x))
        torch.relu(model(x))
    assert calls(watch) == {"relu": 1}
    assert watch.stats["relu"].zeros == int((y == 0).sum())
    assert watch.stats["relu"].widths == (8,)


def test_during_asks_each_module_that_is_called():
    model, x = Model(), torch.randn(5, 6)
    with relustat.watch(model, during="train") as watch, watch.counting():
        model.forward(x)
        model.eval()
        model.forward(x)
        model(x)
        model.train()
        model(x)
    assert calls(watch) == {"relu": 2, "functional_relu": 2}


def test_a_compiled_part_is_counted_in_a_block():
    model, x = Model(), torch.randn(5, 6)
    model.a.compile(backend="eager")
    model.relu.compile(backend="eager")
    with relustat.watch(model) as watch, watch.counting():
        model.step(x)
    assert calls(watch) == {"relu": 1, "functional_relu": 1, "functional_relu_1": 1}


def test_blocks_end_whatever_happens():
    model, x = Model(), torch.randn(5, 6)

    class Failing(nn.Module):
        def forward(self, _):
            raise KeyboardInterrupt

    with relustat.watch(model) as watch:
        with contextlib.suppress(ZeroDivisionError), watch.counting():
            model.step(x)
            raise ZeroDivisionError
        model.c, c = Failing(), model.c
        with pytest.raises(KeyboardInterrupt), watch.counting():
            model.step(x)
        model.c = c
        assert torch._C._len_torch_function_stack() == 0
        with watch.counting(), watch.counting():
            model.step(x)
        torch.relu(x)
        model(x)
    assert calls(watch) == {"relu": 4, "functional_relu": 4, "functional_relu_1": 2}
    with pytest.raises(ValueError, match="a closed watch counts nothing"), watch.counting():
        pass


def test_closing_in_a_block():
    model = Model()
    with relustat.watch(model) as watch, watch.counting():
        model.decode(torch.randn(2, 8))
        watch.close()
        model.decode(torch.randn(2, 8))
    assert calls(watch) == {"functional_relu": 1}
    assert torch._C._len_torch_function_stack() == 0


def test_other_models_in_a_block_are_not_counted():
    """As a teacher, or an average of the weights."""
    student, teacher = Model(), Model()
    x = torch.randn(5, 6)
    with relustat.watch(student) as watch, relustat.watch(teacher) as other, watch.counting():
        F.mse_loss(student(x), teacher(x))
    assert calls(watch) == calls(other) == {"relu": 1, "functional_relu": 1}
    with relustat.watch(student) as watch, watch.counting():
        nn.Sequential(teacher, nn.Sequential(nn.ReLU()))(x)
        student.step(x)
    assert calls(watch) == {"relu": 1, "functional_relu": 1, "functional_relu_1": 1}


def test_a_block_within_a_call_of_another_model():
    class Trainer(nn.Module):
        def forward(self, model, x):
            with relustat.watch(model) as watch, watch.counting():
                model.step(x)
            return watch

    watch = Trainer()(Model(), torch.randn(5, 6))
    assert calls(watch) == {"relu": 1, "functional_relu": 1, "functional_relu_1": 1}


def test_all_methods_on_the_way_are_named():
    class Methods(Model):
        def forward(self, x):
            return F.relu(sum([F.relu(layer(x)) for layer in [self.a]]))

        def outer(self, x):
            return F.relu(self.inner(x))

        def inner(self, x):
            return [F.relu(layer(x)) for layer in [self.a]][0]  # noqa: RUF015

    model, x = Methods(), torch.randn(2, 6)
    with relustat.watch(model) as watch:
        with watch.pause():
            model.decode(torch.randn(2, 8))
        model.outer(x)
        model.forward(x)
    named = {warning.partition(":")[0] for warning in watch.report().warnings}
    assert {"outer", "inner", "forward"} <= named
    assert "decode" not in named
