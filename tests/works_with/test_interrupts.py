"""Ctrl-C at any point: what is left works, or has been undone, and no later count is wrong."""

import contextlib
import threading

import pytest
import torch
import torch.nn.functional as F
from interrupting import interrupted_at_points
from models import snapshot
from torch import nn
from torch._dynamo import eval_frame

import relustat
from relustat.analysis.model_run.layer_calls import LayerCalls
from relustat.analysis.rates.activation_counts import GradientCounts, OutputCounts


class Model(nn.Module):
    """ReLUs of all kinds: modules, one of them called twice, and a functional call."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.MaxPool1d(2))
        self.relu = nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu(self.block(x) - 1) - self.relu(x.sum()))


NAMES = ["block.1", "relu", "relu_1", "functional_relu"]
X = torch.tensor([[-1.0, 2.0, 3.0], [1.0, 1.0, -2.0]])
# In place of other modes, of which the stack is kept.
OUTER = [torch.device("meta"), torch.device("cpu")]


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def zeros(model):
    """By call site, of one forward."""
    with relustat.watch(model) as watch:
        model(X)
    assert list(watch.stats) == NAMES
    return {name: stats.zeros for name, stats in watch.stats.items()}


@pytest.fixture
def assert_whole(model, zeros):
    before, expected = snapshot(model), model(X)

    def check():
        assert torch._C._len_torch_function_stack() == 0
        assert snapshot(model) == before
        with relustat.watch(model) as watch:
            assert torch.equal(model(X), expected)
        assert {name: stats.zeros for name, stats in watch.stats.items()} == zeros
        assert snapshot(model) == before

    return check


def test_watch(model, assert_whole):
    for _ in interrupted_at_points(lambda: lambda: relustat.watch(model)):
        relustat.unwatch(model)
        assert_whole()


def test_a_watch_that_was_not_begun_is_not_in_the_way(model, zeros):
    begun = 0
    for _ in interrupted_at_points(lambda: lambda: relustat.watch(model)):
        with contextlib.suppress(ValueError), relustat.watch(model) as watch:
            model(X)
            assert {name: stats.zeros for name, stats in watch.stats.items()} == zeros
            continue
        # It had begun before the interrupt, but nobody has got it.
        begun += 1
        relustat.unwatch(model)
    assert begun < 10


def test_a_forward(model, zeros, assert_whole):
    expected = model(X)
    watch = None

    def prepare():
        nonlocal watch
        watch = relustat.watch(model)
        return lambda: model(X)

    for _ in interrupted_at_points(prepare, step=2):
        assert torch.equal(model(X), expected)
        assert torch._C._len_torch_function_stack() == 0
        F.relu(X)
        assert list(watch.stats) == NAMES
        for name, stats in watch.stats.items():
            assert stats.calls in (1, 2)
            assert stats.zeros == stats.calls * zeros[name]
        watch.close()
        assert_whole()
    watch.close()


def test_a_forward_among_other_modes(model, assert_whole):
    outer, inner = OUTER
    watch = None

    def forward():
        with outer, inner:
            model(X)

    def prepare():
        nonlocal watch
        watch = relustat.watch(model)
        return forward

    for _ in interrupted_at_points(prepare, step=3):
        watch.close()
        assert torch.empty(1).is_cpu
        assert_whole()
    watch.close()


def test_an_interrupt_that_the_model_catches(assert_whole, model, zeros):
    class Catching(nn.Module):
        """Tries again."""

        def __init__(self):
            super().__init__()
            self.part = model

        def forward(self, x):
            self.tries = 1
            try:
                return self.part(x)
            except KeyboardInterrupt:
                self.tries = 2
                return self.part(x)

    outer = Catching()
    expected = outer(X)
    watch, outputs = None, []

    def prepare():
        nonlocal watch
        watch = relustat.watch(outer)
        outputs.clear()
        return lambda: outputs.append(outer(X))

    caught = 0
    for _ in interrupted_at_points(prepare, step=3):
        if outputs:
            caught += 1
            assert outer.tries == 2
            assert torch.equal(outputs[0], expected)
            assert torch._C._len_torch_function_stack() == 0
            # A call that was interrupted may have been counted, and is not taken for the second.
            calls = sum(stats.calls for stats in watch.stats.values())
            assert 4 <= calls <= 8
        watch.close()
        assert_whole()
    watch.close()
    assert caught > 30


def test_close(model, zeros, assert_whole):
    watch = None

    def prepare():
        nonlocal watch
        watch = relustat.watch(model)
        model(X)
        return watch.close

    for _ in interrupted_at_points(prepare):
        watch.close()
        assert {name: stats.zeros for name, stats in watch.stats.items()} == zeros
        assert_whole()


def test_a_close_that_was_interrupted_is_not_in_the_way(model, zeros, assert_whole):
    watch = None

    def prepare():
        nonlocal watch
        watch = relustat.watch(model)
        return watch.close

    closed = 0
    for _ in interrupted_at_points(prepare):
        if "closed" in repr(watch):
            closed += 1
            with relustat.watch(model) as later:
                # Nothing of it is left to do.
                watch.close()
                model(X)
            assert {name: stats.zeros for name, stats in later.stats.items()} == zeros
        watch.close()
        assert watch.stats == {}
        assert_whole()
    assert closed > 50


def swapped(model):
    return {each.path for each in relustat.swapped(model) if not each.why_not}


def test_swap(model, assert_whole):
    before, expected = snapshot(model), model(X)
    for number in interrupted_at_points(lambda: lambda: relustat.swap(model)):
        assert torch.equal(model(X), expected)
        if number % 2:
            relustat.swap(model)
            assert swapped(model) == {"block.1", "block.2", "relu"}
            model.relu.counters.reset()
            assert torch.equal(model(X), expected)
            assert model.relu.counters.stats.calls == 2
        relustat.unswap(model)
        assert snapshot(model) == before
        assert_whole()


def test_unswap(model, assert_whole):
    before, expected = snapshot(model), model(X)

    def prepare():
        relustat.swap(model)
        return lambda: relustat.unswap(model)

    for _ in interrupted_at_points(prepare):
        assert torch.equal(model(X), expected)
        relustat.unswap(model)
        assert snapshot(model) == before
        assert_whole()


def test_snapshot(model):
    watch = relustat.watch(model)
    epoch = 0

    def prepare():
        nonlocal epoch
        epoch += 1
        model(X)
        return lambda: watch.snapshot(epoch)

    for _ in interrupted_at_points(prepare, step=3):
        if not watch.history.spans or watch.history.spans[-1].last < epoch:
            watch.snapshot(epoch)
        assert watch.history.total("relu").calls == epoch
    watch.close()


def test_counting_goes_on_where_a_model_was_moved_to(model):
    relustat.swap(model)
    for _ in interrupted_at_points(lambda: model.relu.counters.reset):
        pass
    for _ in interrupted_at_points(lambda: lambda: model.relu.double()):
        model.relu.counters.reset()
        model.relu(X)
        assert model.relu.counters.stats.calls == 1


def test_layer_calls(model, assert_whole):
    model.eval()

    def prepare():
        return lambda: LayerCalls("test", model, ["relu"]).run(X)

    for _ in interrupted_at_points(prepare, step=2):
        assert eval_frame._stance.stance == "default"
        assert_whole()


@pytest.mark.parametrize("stage", ["open", "close"])
def test_activation_counts(model, stage):
    model.block.append(nn.Dropout())
    model.eval()
    before = snapshot(model)
    parameters = list(model.parameters())
    counts = []

    def prepare():
        counts[:] = OutputCounts("all"), GradientCounts("all")
        if stage == "close":
            for each in counts:
                each.open(model)
            return lambda: [each.close() for each in counts]
        return lambda: [each.open(model) for each in counts]

    for _ in interrupted_at_points(prepare):
        for each in counts:
            each.close()
        relustat.unwatch(model)
        assert snapshot(model) == before
        assert not any(parameter._post_accumulate_grad_hooks for parameter in parameters)


def test_a_thread_that_ends_in_the_midst_of_a_forward(model):
    class Exiting(nn.Module):
        def forward(self, _):
            raise SystemExit

    model.block.append(Exiting())
    before = snapshot(model)
    watch = relustat.watch(model)
    thread = threading.Thread(target=model, args=(X,))
    thread.start()
    thread.join()
    watch.close()
    assert snapshot(model) == before
