"""Names of call sites, and their order."""

import gc
import sys

import pytest
import torch
import torch.nn.functional as F
from skipping_models import CLASSES, Layers, Straight, names_of
from torch import nn

import relustat

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 does not say where in a line a call is"
)


class Names(nn.Module):
    """Names that meet: relu called twice beside relu_1, a function beside a module."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.relu_1 = nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu_1(self.relu(F.relu(self.relu(x)))))


def test_names_that_meet():
    model = nn.Sequential(Names(), Names())
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    per_block = ["relu", "functional_relu", "relu__1", "relu_1", "functional_relu_1"]
    assert list(watch.stats) == [f"{block}.{name}" for block in (0, 1) for name in per_block]


def test_a_module_in_two_positions_has_the_name_of_each():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 5), relu)
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    assert {name: stats.widths for name, stats in watch.stats.items()} == {"1": (3,), "3": (5,)}


def test_root_modules():
    with relustat.watch(nn.ReLU()) as watch:
        watch._model(torch.randn(2, 3))
    assert list(watch.stats) == ["relu"]


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.left, self.right, self.last = (nn.ReLU() for _ in range(4))

    def forward(self, x, left):
        x = self.first(x)
        x = self.left(x) if left else self.right(x)
        return self.last(x)


def test_branches_take_their_place_in_execution_order():
    model = Branching()
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3), left=False)
        model(torch.randn(2, 3), left=True)
        model(torch.randn(2, 3), left=True)
    calls = {name: stats.calls for name, stats in watch.stats.items()}
    assert calls == {"first": 3, "left": 2, "right": 1, "last": 3}
    assert list(calls) == ["first", "left", "right", "last"]


class Conv(nn.Module):
    """One ReLU object for all."""

    act = nn.ReLU()

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv, self.act = nn.Conv2d(inputs, outputs, 1), Conv.act

    def forward(self, x):
        return self.act(self.conv(x))


def test_a_shared_relu_has_the_name_of_each_caller():
    model = nn.Sequential(Conv(3, 4), nn.Sequential(Conv(4, 8), Conv(8, 8)))
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3, 4, 4))
    assert list(watch.stats) == ["0.act", "1.0.act", "1.1.act"]
    assert [site.after for site in watch.report().call_sites.values()] == [
        ("0.conv",),
        ("1.0.conv",),
        ("1.1.conv",),
    ]


@pytest.mark.parametrize("kind", CLASSES)
def test_names_are_those_of_positions_in_the_code(kind):
    model = kind()
    assert tuple(names_of(model, ()).stats) == kind.expected


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("kind", CLASSES)
def test_skipped_layers_change_no_name(kind, compiled):
    """As on two ranks that skip other layers at first."""
    model = kind()
    for skipped in (0,), (1,), (0, 1):
        one = names_of(model, skipped, (), compiled=compiled)
        other = names_of(model, (), skipped, compiled=compiled)
        assert one.stats.keys() == other.stats.keys() == set(kind.expected)
        counted = {name: stats.calls for name, stats in one.stats.items()}
        assert counted == {name: stats.calls for name, stats in other.stats.items()}
        last = names_of(model, skipped, compiled=compiled)
        assert {name: 1 + (name in last.stats) for name in kind.expected} == counted


def test_layers_that_made_the_inputs_are_in_the_report():
    report = names_of(Straight(), (), (0,)).report()
    assert [row.after for row in report.rows] == ["stem", "layers.0", "layers.1", "layers.2"]
    assert [line.split()[1] for line in str(report).splitlines()[1:6]] == [
        *("after", "stem", "layers.0", "layers.1", "layers.2"),
    ]


class Indirect(nn.Module):
    """Modules that are not called as attributes of their caller."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
        self.acts = nn.ModuleDict({"a": nn.ReLU(), "b": nn.ReLU()})
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        for layer in self.encoder:
            x = layer(x)
        x = self.decoder[2:](self.decoder[:2](x))
        x = self.acts["b"](self.acts["a"](x - 1) - 1)
        relu = self.relu2
        return relu(getattr(self, "relu1")(x - 1) - 1)  # noqa: B009


def test_modules_that_are_called_indirectly_have_their_own_names():
    with relustat.watch(Indirect()) as watch:
        watch._model(torch.randn(2, 4))
    assert list(watch.stats) == [
        *("encoder.1", "decoder.1", "decoder.3", "acts.a", "acts.b", "relu1", "relu2"),
    ]


def test_a_forward_of_the_instance():
    def forward(self, x, skipped):
        x = F.relu(self.stem(x)) if 0 not in skipped else x
        return F.relu(self.aux(x))

    model = Layers()
    names_of_class = []
    for patched in (model, type("Patched", (Layers,), {})()):
        if patched is model:
            model.forward = forward.__get__(model)
        else:
            with relustat.watch(patched):
                pass
            type(patched).forward = forward
        for skipped in ((0,), ()):
            names_of_class.append(set(names_of(patched, skipped).stats))
    first, second = "functional_relu", "functional_relu_1"
    assert names_of_class == [{second}, {first, second}] * 2


class States(nn.Module):
    """The compiler leaves recurrent layers to eager code."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 4)

    def forward(self, x):
        y, h = self.gru(x)
        return F.relu(y), F.relu(h), F.relu(y + 9), F.relu(h - 9)


def test_code_that_the_compiler_leaves_to_python():
    model, x = States(), torch.randn(2, 3, 4)
    found = []
    for called in (model, torch.compile(model, backend="eager")):
        with relustat.watch(model) as watch:
            called(x)
        found.append({name: stats.unit_zeros.tolist() for name, stats in watch.stats.items()})
        assert watch.report().notes == []
    assert found[0] == found[1]
    assert list(found[0]) == ["relu", "relu_1", "relu_2", "relu_3"]


class Growing(nn.Module):
    """Makes its layers when it is called first."""

    def forward(self, x):
        if not hasattr(self, "act"):
            self.act = nn.Sequential(nn.Linear(x.shape[1], 4), nn.ReLU())
            self.head = nn.ReLU()
        return self.head(self.act(x))


def test_modules_that_a_forward_adds():
    model, x = Growing(), torch.randn(2, 3)
    with relustat.watch(model) as watch:
        y = model(x)
        assert torch.equal(model(x), y)
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"act.1": 2, "head": 2}


@pytest.mark.parametrize("as_child", [True, False])
def test_a_layer_that_is_replaced_keeps_its_name(as_child):
    """Also one that a tool puts into the dict of children, past all hooks."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()
            self.block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

        def forward(self, x):
            return F.relu(self.block(self.act(x)))

    model, x = Model(), torch.randn(2, 3)
    gc.collect()  # watches of other tests
    hooks = len(torch.nn.modules.module._global_module_registration_hooks)
    with relustat.watch(model) as watch:
        model(x)
        if as_child:
            model.act, model.block[1] = nn.ReLU(), nn.ReLU(inplace=True)
            model.block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        else:
            model._modules["act"] = nn.ReLU()
        model(x)
    assert {name: stats.calls for name, stats in watch.stats.items()} == dict.fromkeys(
        ("act", "block.1", "relu"), 2
    )
    assert not any("never called" in warning for warning in watch.report().warnings)
    assert not model.act._forward_hooks
    assert len(torch.nn.modules.module._global_module_registration_hooks) == hooks


def test_modules_that_lists_insert():
    """PyTorch does not tell of these, so they get hooks at their first call."""
    model = nn.Sequential(nn.Linear(4, 4))
    with relustat.watch(model) as watch:
        model.insert(0, nn.ReLU())
        model.insert(2, nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
        for _ in range(2):
            model(torch.randn(2, 4))
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"0": 2, "2.1": 2}
    assert not any("never called" in warning for warning in watch.report().warnings)
    assert not model[0]._forward_hooks


def test_modules_that_move_have_their_new_names():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    x = torch.randn(2, 4)
    with relustat.watch(model) as watch:
        model[0] = Wrapper(model[0])
        model(x)
        model.append(nn.ReLU())
        model.insert(1, nn.ReLU())
        model(x)
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "0.inner.1": 2,
        "1": 1,
        "2": 1,
    }
    assert not any("never called" in warning for warning in watch.report().warnings)


def test_a_watched_model_becomes_a_part_of_another():
    part = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    whole = nn.Sequential(nn.Linear(4, 4))
    x = torch.randn(2, 4)
    with relustat.watch(part) as of_part:
        with relustat.watch(whole) as of_whole:
            whole.append(part)
            whole(x)
        part(x)
    assert {name: stats.calls for name, stats in of_part.stats.items()} == {"1": 2}
    assert {name: stats.calls for name, stats in of_whole.stats.items()} == {"1.1": 1}
    assert not part[1]._forward_hooks
    assert "_relustat_watched" not in vars(part[1])


def test_one_relu_under_two_names():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = self.second = nn.ReLU()

        def forward(self, x, skipped=()):
            x = self.first(x) if 0 not in skipped else x
            return self.second(x - 1)

    for skipped in ((), (0,)):
        watch = names_of(Twice(), skipped)
        assert list(watch.stats) == ["first", "second"][len(skipped) :]
