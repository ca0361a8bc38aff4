"""A forward from its start to its end, however it ends: exceptions, interrupts, threads."""

import contextlib
import sys
import threading

import pytest
import torch
import torch.nn.functional as F
from models import RESNET_NAMES, Failing, FunctionalReLU, ResNet, snapshot
from torch import nn

import relustat
from relustat.watching import watched_modules


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


def test_an_exception_in_a_part_that_is_called_by_itself():
    model = nn.Sequential(Failing(ValueError("no")), nn.ReLU())
    before = snapshot(model)
    watch = relustat.watch(model)
    with pytest.raises(ValueError, match="no"):
        model[0](torch.ones(2))
    assert torch._C._len_torch_function_stack() == 0
    threading.Thread(target=watch.close).start()
    watch.close()
    assert snapshot(model) == before


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


def test_closing_twice_does_nothing_to_a_later_watch():
    model = nn.Sequential(nn.ReLU())
    before = snapshot(model)
    first = relustat.watch(model)
    first.close()
    second = relustat.watch(model)
    during = snapshot(model)
    first.close()
    thread = threading.Thread(target=first.close)
    thread.start()
    thread.join()
    assert snapshot(model) == during
    model(torch.randn(2, 3))
    assert second.stats["0"].calls == 1
    with pytest.raises(ValueError, match="watched already"):
        relustat.watch(model)
    relustat.unwatch(model)
    assert snapshot(model) == before
    third = relustat.watch(model)
    for watch in (second, first, second):
        watch.close()
    model(torch.randn(2, 3))
    assert (first.stats, second.stats["0"].calls, third.stats["0"].calls) == ({}, 1, 1)
    third.close()
    assert snapshot(model) == before


@pytest.fixture
def threads_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_closing_in_many_threads_while_others_watch():
    model = nn.Sequential(nn.ReLU())
    before = snapshot(model)
    closed = [relustat.watch(model)]
    closed[0].close()
    held, open_at_once = set(), []

    def work():
        for _ in range(50):
            with contextlib.suppress(ValueError):
                watch = relustat.watch(model)
                open_at_once.append(len(held))
                held.add(watch)
                open_at_once.append(len(held))
                held.remove(watch)
                watch.close()
                closed.append(watch)
            closed[-1].close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(closed) > 1
    assert max(open_at_once) == 1
    assert snapshot(model) == before


def test_closing_a_watch_of_a_part_leaves_that_of_the_whole():
    model = nn.Sequential(nn.Sequential(nn.ReLU()), nn.ReLU())
    before = snapshot(model)
    whole, part = relustat.watch(model), relustat.watch(model[0])
    for _ in range(2):
        part.close()
    again = relustat.watch(model[0])
    part.close()
    model(torch.randn(2, 3))
    assert {name: stats.calls for name, stats in whole.stats.items()} == {"0.0": 1, "1": 1}
    assert {name: stats.calls for name, stats in again.stats.items()} == {"0": 1}
    whole.close()
    whole.close()
    model[0](torch.randn(2, 3))
    assert again.stats["0"].calls == 2
    again.close()
    assert snapshot(model) == before


def defined_in(package, source, **names):
    """What ``source`` defines in a module of a package."""
    names["__package__"] = package
    exec(source, names)
    return names


def test_hooks_may_be_called_by_way_of_a_sub_package(monkeypatch):
    source = "def call(function, *arguments): return function(*arguments)"
    call = defined_in("relustat.sub.package", source)["call"]
    monkeypatch.setattr(watched_modules, "with_side_effects_allowed", call)
    model = nn.Sequential(FunctionalReLU(), nn.ReLU())
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3))
    assert list(watch.stats) == ["0.relu", "1"]


def test_a_package_whose_name_begins_like_ours_is_not_ours():
    source = """
class Calling(nn.Module):
    def __call__(self, x):
        for hook in self._forward_pre_hooks.values():
            hook(self, (x,))
        x = F.relu(x)
        if self.error:
            raise self.error
        for hook in self._forward_hooks.values():
            hook(self, (x,), x)
        return x
"""
    model = nn.Sequential(defined_in("relustatistics", source, nn=nn, F=F)["Calling"](), nn.ReLU())
    model[0].error = KeyboardInterrupt()

    def call_and_go_on():
        with contextlib.suppress(KeyboardInterrupt):
            model[0](torch.randn(2, 3))
        # Its forward is over, though the function that called it still runs.
        F.relu(torch.randn(2, 3))

    with relustat.watch(model) as watch:
        call_and_go_on()
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"0.relu": 1}
