"""An error before any bytecode, of whatever kind: a model is watched as before, or as it was."""

import contextlib
import os

import pytest
import torch
from interrupting import failing_at_bytecodes
from subjects import Subject, X

import relustat

# Of thousands of bytecodes, so many are tried for each operation. All of them take an hour.
MOST = int(os.environ.get("MOST_BYTECODES", "16"))
ERRORS = [KeyboardInterrupt, MemoryError]


@pytest.fixture
def subject():
    return Subject()


def failing(prepare):
    return failing_at_bytecodes(prepare, ERRORS, MOST)


def test_enter(subject):
    for _ in failing(lambda: lambda: relustat.watch(subject.model)):
        relustat.unwatch(subject.model)
        subject.assert_plain()


def watched(subject, action, forwards=1):
    """Prepares what ``action`` gives, for a new watch that has counted."""

    def prepare():
        if subject.watch is not None:
            subject.watch.close()
        subject.watch = relustat.watch(subject.model)
        for _ in range(forwards):
            subject.model(X)
        return lambda: action(subject)

    return prepare


def forward(subject):
    subject.model(X)


def counting(subject):
    with subject.watch.counting():
        subject.model(X)


def read(subject):
    return str(subject.watch.report())


def save(subject):
    return subject.watch.state_dict()


def group(subject):
    with subject.watch.group("some"):
        subject.model(X)


@pytest.mark.parametrize("action", [forward, counting, group, read, save], ids=lambda f: f.__name__)
def test_what_counts_and_reads(subject, action):
    for _ in failing(watched(subject, action)):
        assert all(1 <= each <= 2 for each in subject.calls())
        subject.assert_watched()
        with subject.watch.group("other"):
            subject.model(X)
        groups = subject.watch.report().groups
        assert {each.calls for each in groups["other"].stats.values()} == {1}
        subject.watch.close()
        subject.assert_plain()


def test_close(subject):
    for _ in failing(watched(subject, lambda subject: subject.watch.close())):
        subject.watch.close()
        assert subject.calls() == [1, 1, 1]
        subject.assert_plain()


def reset(subject):
    subject.watch.reset()


def test_reset_is_done_or_not(subject):
    for _ in failing(watched(subject, reset)):
        assert subject.calls() in ([1, 1, 1], [0, 0, 0])
        subject.assert_watched()
        subject.watch.close()
        subject.assert_plain()


def test_load_is_done_or_not(subject):
    watched(subject, None, forwards=3)()
    state = subject.watch.state_dict()
    for _ in failing(watched(subject, lambda subject: subject.watch.load_state_dict(state))):
        assert subject.calls() in ([1, 1, 1], [3, 3, 3])
        subject.assert_watched()
        subject.watch.close()
        subject.assert_plain()


def stop(subject):
    subject.watch.stop()


def test_stop_is_done_or_not(subject):
    for _ in failing(watched(subject, stop)):
        subject.model(X)
        assert subject.calls() in ([1, 1, 1], [2, 2, 2])
        subject.watch.start()
        subject.assert_watched()


def pause(subject):
    with subject.watch.pause():
        pass


def test_pause_ends(subject):
    for _ in failing(watched(subject, pause)):
        subject.assert_watched()


def test_snapshot(subject):
    for _ in failing(watched(subject, lambda subject: subject.watch.snapshot(1))):
        subject.model(X)
        with contextlib.suppress(ValueError):  # it was added
            subject.watch.snapshot(1)
        subject.watch.snapshot(2)
        assert subject.watch.history.total("relu").calls == 2
        subject.watch.close()
        subject.assert_plain()


@pytest.mark.parametrize("fuse", [False, True])
def test_swap(subject, fuse):
    model = subject.model
    for _ in failing(lambda: lambda: relustat.swap(model, fuse=fuse)):
        assert torch.equal(model(X), subject.expected)
        relustat.swap(model, fuse=fuse)
        model.relu.counters.reset()
        assert torch.equal(model(X), subject.expected)
        assert model.relu.counters.stats.calls == 1
        relustat.unswap(model)
        subject.assert_plain()


@pytest.mark.parametrize("fuse", [False, True])
def test_unswap(subject, fuse):
    model = subject.model

    def prepare():
        relustat.swap(model, fuse=fuse)
        return lambda: relustat.unswap(model)

    for _ in failing(prepare):
        assert torch.equal(model(X), subject.expected)
        relustat.unswap(model)
        subject.assert_plain()


@pytest.mark.parametrize("fuse", [False, True])
def test_a_forward_of_a_swapped_model(subject, fuse):
    model = relustat.swap(subject.model, fuse=fuse)

    def prepare():
        for relu in (model.block[1], model.relu):
            relu.counters.reset()
        return lambda: model(X)

    for _ in failing(prepare):
        calls = [relu.counters.stats.calls for relu in (model.block[1], model.relu)]
        assert calls in ([0, 0], [1, 0], [1, 1])
        assert torch.equal(model(X), subject.expected)
        now = [relu.counters.stats.calls for relu in (model.block[1], model.relu)]
        assert now == [each + 1 for each in calls]
    relustat.unswap(model)
    subject.assert_plain()


def test_loading_counters_is_done_or_not():
    counters = relustat.Counters()
    for _ in range(3):
        relustat.functional.counting_relu(X, counters)
    saved = counters.saved()

    def prepare():
        counters.reset()
        relustat.functional.counting_relu(X, counters)
        return lambda: counters.load(saved)

    for _ in failing(prepare):
        assert counters.stats.calls in (1, 3)
        assert counters.stats.elements == counters.stats.calls * X.numel()
