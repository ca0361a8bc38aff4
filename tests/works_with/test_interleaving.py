"""Watches and swaps that begin and end in any order, and code that is suspended within them."""

import asyncio
import itertools

import pytest
import torch
import torch.nn.functional as F
from models import snapshot
from torch import nn

import relustat

X = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
EVENTS = ["watch whole", "watch part", "swap"]


def orders():
    """All in which each of the events begins and later ends."""
    return sorted(set(itertools.permutations(EVENTS * 2)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = nn.Sequential(nn.ReLU(), nn.MaxPool1d(1))

    def forward(self, x):
        return F.relu(self.part(x) - 1)


class Stage:
    """A model, and what counts it now."""

    def __init__(self):
        self.model = Model()
        self.whole = self.part = None
        self.is_swapped = False

    def toggle(self, event):
        if event == "swap":
            (relustat.unswap if self.is_swapped else relustat.swap)(self.model)
            self.is_swapped = not self.is_swapped
            return
        name, model = ("whole", self.model) if event == "watch whole" else ("part", self.model.part)
        if getattr(self, name) is None:
            setattr(self, name, relustat.watch(model))
        else:
            getattr(self, name).close()
            setattr(self, name, None)

    def calls(self):
        watches = [watch for watch in (self.whole, self.part) if watch is not None]
        calls = [stats.calls for watch in watches for stats in watch.stats.values()]
        return [*calls, *([self.model.part[0].counters.stats.calls] if self.is_swapped else [])]

    def clear(self):
        for watch in (self.whole, self.part):
            if watch is not None:
                watch.reset()
        if self.is_swapped:
            self.model.part[0].counters.reset()


@pytest.mark.parametrize("first", EVENTS)
def test_watches_and_a_swap_in_every_order(first):
    stage = Stage()
    before, expected = snapshot(stage.model), stage.model(X)
    tried = [order for order in orders() if order[0] == first]
    assert len(tried) == 30
    for order in tried:
        for event in order:
            stage.toggle(event)
            stage.clear()
            assert torch.equal(stage.model(X), expected)
            sites = 2 * (stage.whole is not None) + (stage.part is not None) + stage.is_swapped
            assert stage.calls() == [1] * sites
        assert snapshot(stage.model) == before


@pytest.mark.parametrize("ends", itertools.permutations(range(3)))
def test_blocks_that_end_in_any_order(ends):
    models = [Model() for _ in range(3)]
    with relustat.watch(models[0]) as a, relustat.watch(models[1]) as b:
        blocks = [a.counting(), b.counting(), torch.device("cpu")]
        for block in blocks:
            block.__enter__()
        for index in ends:
            blocks[index].__exit__(None, None, None)
        assert torch._C._len_torch_function_stack() == 0
        for model in models:
            model(X)
        assert [stats.calls for watch in (a, b) for stats in watch.stats.values()] == [1] * 4


def test_generators_that_are_suspended_in_a_watch():
    model = Model()
    before = snapshot(model)

    def counted():
        with relustat.watch(model) as watch:
            for _ in range(3):
                model(X)
                yield watch

    generator = counted()
    watch = next(generator)
    model(X)  # it is watched still
    next(generator)
    generator.close()
    assert {stats.calls for stats in watch.stats.values()} == {3}
    assert snapshot(model) == before


class Awaiting(nn.Module):
    """Lets other tasks run between its modules."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())

    async def forward(self, x):
        x = self.first(x)
        await asyncio.sleep(0)
        x = self.second(x)
        await asyncio.sleep(0)
        return x


async def together(*calls):
    return await asyncio.gather(*calls)


def test_tasks_that_take_turns_within_a_forward():
    model, other = Awaiting(), Awaiting()
    before = snapshot(model)
    with relustat.watch(model) as watch, relustat.watch(other) as later:
        outputs = asyncio.run(together(model(X), other(X), model(X), model(X)))
    assert len(outputs) == 4
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"first": 3, "second.1": 3}
    assert {stats.calls for stats in later.stats.values()} == {1}
    assert snapshot(model) == before


def test_tasks_that_open_blocks_in_turn():
    models = [Awaiting() for _ in range(3)]

    async def task(model):
        with relustat.watch(model) as watch, watch.counting():
            for _ in range(4):
                await model(X)
            return [stats.calls for stats in watch.stats.values()]

    assert asyncio.run(together(*map(task, models))) == [[4, 4]] * 3
    assert torch._C._len_torch_function_stack() == 0


def test_a_task_that_is_cancelled_within_a_block():
    model = Awaiting()
    before = snapshot(model)

    async def work():
        with relustat.watch(model) as watch, watch.counting():
            await model(X)
            await asyncio.sleep(3600)

    async def cancelled():
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert torch._C._len_torch_function_stack() == 0
    assert snapshot(model) == before


def test_a_model_that_was_swapped_while_it_was_watched_cannot_be_scripted():
    """Its script would count nothing, in silence."""
    model = Model()
    with relustat.watch(model):
        relustat.swap(model)
    with pytest.raises(TypeError, match="unswap"):
        torch.jit.script(model)
