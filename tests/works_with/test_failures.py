"""What raises in a forward, at any place: the model stays watched, and no call is counted twice."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from subjects import Subject, X
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

import relustat
from relustat.ops import library

ERRORS = [torch.OutOfMemoryError("no"), MemoryError(), RuntimeError("no"), KeyboardInterrupt()]


class Failure:
    """Raises an error when it has been come to so many times."""

    def __init__(self):
        self.left = -1
        self.error = None

    def __call__(self, *_):
        self.left -= 1
        if self.left == -1:
            raise self.error

    def before(self, function):
        def called(*args, **kwargs):
            self()
            return function(*args, **kwargs)

        return called


@pytest.fixture
def failure():
    return Failure()


@pytest.fixture
def subject():
    return Subject()


def watched_at_each(subject, failure, **options):
    """Fails at each place of a forward that there is, in a new watch; yields how far it went."""
    errors = itertools.cycle(ERRORS)
    for place in itertools.count():
        with relustat.watch(subject.model, **options) as subject.watch:
            failure.left, failure.error = place, next(errors)
            try:
                subject.model(X)
            except type(failure.error):
                yield subject.calls()
                # PyTorch calls no hooks after an interrupt: the next forward, or close(), ends it.
                left = torch._C._len_torch_function_stack()
                assert left == 0 or isinstance(failure.error, KeyboardInterrupt)
                subject.assert_watched()
            else:
                failure.left = -1
                break
        subject.assert_plain()
    assert place > 1


def assert_in_order(calls):
    """Each call site was counted if it was come to."""
    assert calls in ([0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1])


@pytest.mark.parametrize(
    "register", [register_module_forward_pre_hook, register_module_forward_hook]
)
def test_at_each_module(subject, failure, register):
    handle = register(failure)
    for calls in watched_at_each(subject, failure):
        assert_in_order(calls)
    handle.remove()


@pytest.mark.parametrize("prepend", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
def test_in_a_hook_of_another(subject, failure, when, prepend):
    handles = []

    def add_hooks():
        for module in subject.model.modules():
            add = (
                module.register_forward_pre_hook
                if when == "before"
                else module.register_forward_hook
            )
            handles.append(add(failure, prepend=prepend))

    with relustat.watch(subject.model) as subject.watch:
        add_hooks()  # they are around ours, or within
        for place, error in zip(range(6), itertools.cycle(ERRORS), strict=False):
            subject.watch.reset()
            failure.left, failure.error = place, error
            with pytest.raises(type(error)):
                subject.model(X)
            assert_in_order(subject.calls())
            subject.assert_watched()
        for handle in handles:
            handle.remove()
    subject.assert_plain()


@pytest.mark.parametrize("name", ["linear", "relu"])
def test_in_an_op(subject, failure, monkeypatch, name):
    monkeypatch.setattr(F, name, failure.before(getattr(F, name)))
    with relustat.watch(subject.model) as subject.watch:
        for error in ERRORS:
            subject.watch.reset()
            failure.left, failure.error = 0, error
            with pytest.raises(type(error)):
                subject.model(X)
            assert_in_order(subject.calls())
    monkeypatch.undo()
    subject.assert_plain()


class FailingMode(TorchFunctionMode):
    def __init__(self, failure):
        super().__init__()
        self.failure = failure

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.relu and not kwargs["inplace"]:
            self.failure()
        return func(*args, **(kwargs or {}))


def test_in_a_relu_that_a_mode_sees(subject, failure):
    """It is counted beside the call, and only if that gives something."""
    with relustat.watch(subject.model) as subject.watch:
        for place, calls in enumerate([[1, 0, 0], [1, 1, 0]]):
            subject.watch.reset()
            failure.left, failure.error = place, RuntimeError("no")
            with pytest.raises(RuntimeError, match="no"), FailingMode(failure):
                subject.model(X)
            assert subject.calls() == calls
            subject.assert_watched()


@pytest.mark.parametrize("name", ["zeros", "from_numpy"])
def test_where_counters_are_allocated(subject, failure, monkeypatch, name):
    monkeypatch.setattr(torch, name, failure.before(getattr(torch, name)))
    for calls in watched_at_each(subject, failure):
        assert_in_order(calls)


def test_in_the_op_that_counts(subject, failure, monkeypatch):
    for name in ("counting_relu", "counting_relu_"):
        op = failure.before(getattr(library.without_dispatcher, name))
        monkeypatch.setattr(library.without_dispatcher, name, op)
    for calls in watched_at_each(subject, failure):
        assert_in_order(calls)


def test_an_output_for_which_there_is_no_memory():
    relu = relustat.CountingReLU()
    with pytest.raises(RuntimeError, match="memory"):
        relu(torch.zeros(1).expand(2**47))
    assert relu.stats.calls == 0
    relu(X)
    assert (relu.stats.calls, relu.stats.zeros) == (1, 2)


@pytest.mark.parametrize("which", ["mask", "groups"])
def test_in_a_function_of_the_user(subject, failure, which):
    values = {"mask": torch.ones(2, dtype=torch.bool), "groups": torch.tensor([3, 4])}

    def given(_name, _x):
        failure()
        return values[which]

    for calls in watched_at_each(subject, failure, **{which: given}):
        assert_in_order(calls)
        groups = subject.watch.report().groups.values()
        totals = [sum(each.elements for each in group.stats.values()) for group in groups]
        elements = sum(each.elements for each in subject.watch.stats.values())
        assert which == "mask" or sum(totals) == elements


def test_where_a_group_misses_a_call_the_report_says_so(failure, monkeypatch):
    model = nn.Sequential(nn.ReLU())
    with relustat.watch(model, groups=lambda *_: torch.tensor([3, 4])) as watch:
        model(X)
        assert watch.report().warnings == []
        op = failure.before(library.without_dispatcher.counting_relu)
        monkeypatch.setattr(library.without_dispatcher, "counting_relu", op)
        # The call itself is counted, and its first label.
        failure.left, failure.error = 2, MemoryError()
        with pytest.raises(MemoryError):
            model(X)
    assert watch.stats["0"].calls == 2
    (warning,) = watch.report().warnings
    assert warning.startswith("0: ")
    assert warning.endswith("a call is not in all its groups, because of MemoryError")


def test_in_a_loader_that_goes_on(subject):
    """As a training loop does that halves the batch when memory is short."""
    tries = []

    class Greedy(nn.Module):
        def forward(self, x):
            tries.append(len(x))
            if len(x) > 1:
                raise torch.OutOfMemoryError("no")
            return x

    model = nn.Sequential(nn.ReLU(), Greedy(), nn.ReLU())
    with relustat.watch(model) as watch:
        try:
            model(X)
        except torch.OutOfMemoryError:
            for x in X:
                model(x[None])
    assert tries == [2, 1, 1]
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"0": 3, "2": 2}
