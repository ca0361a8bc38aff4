"""A fork at any moment, while other threads count: its child has whole calls, and goes on."""

import os
import signal
import threading

import pytest
import torch
import torch.nn.functional as F
from forking import exit_code_of_child
from models import snapshot
from torch import nn

import relustat

FORKS = 15
X = torch.tensor([[-1.0, 2.0, -3.0, 4.0], [-5.0, -6.0, 7.0, 8.0]])


@pytest.fixture(autouse=True)
def _no_pool_of_threads():
    # A child of a process that has one hangs in the first op that wants it, whoever's op that is.
    torch.set_num_threads(1)


@pytest.fixture
def in_background():
    """Runs functions again and again, each in a thread of its own, until the test ends."""
    ended, threads = threading.Event(), []

    def start(*works):
        def repeat(work):
            while not ended.is_set():
                work()

        threads.extend(threading.Thread(target=repeat, args=(work,)) for work in works)
        for thread in threads:
            thread.start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def assert_whole(stats, zeros):
    assert stats.calls > 0
    assert stats.elements == stats.calls * X.numel()
    assert stats.unit_zeros.tolist() == [stats.calls * each for each in zeros]


def test_counters_while_threads_count_and_read(in_background):
    # Large ones: a call and a copy hold their mutex nearly always.
    relus = [relustat.CountingReLU(unit_histograms=True, bins=relustat.LinearBins(0, 1, 60_000))]
    relus += [relustat.CountingReLU(bins=None) for _ in range(3)]
    for relu in relus:
        relu(X)

    def work():
        for relu in relus:
            assert_whole(relu.stats, [2, 1, 1, 0])
            before = relu.stats.calls
            relu(X)
            assert relu.stats.calls == before + 1
            relu.reset()
            assert relu.stats.calls == 0

    in_background(*[lambda relu=relu: (relu(X), relu.stats) for relu in relus])
    assert [exit_code_of_child(work) for _ in range(FORKS)] == [0] * FORKS
    for relu in relus:
        assert_whole(relu.stats, [2, 1, 1, 0])


def test_integers_while_a_thread_counts_them(in_background):
    """They are counted in NumPy, under a lock of Python's."""
    relu = relustat.CountingReLU()
    in_background(lambda: relu(X.int()))
    assert [exit_code_of_child(lambda: relu(X.int())) for _ in range(FORKS)] == [0] * FORKS


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return F.relu(self.relu(x) - 1)


def test_a_watch_while_threads_do_all_that_it_offers(in_background):
    model, other = Model(), Model()
    before = snapshot(model)
    labels = torch.tensor([1, 2])
    watch = relustat.watch(model, groups=lambda *_: labels)
    model(X)

    def watch_other():
        with relustat.watch(other):
            other(X)

    def work():
        model(X)
        assert_whole(watch.stats["relu"], [2, 1, 1, 0])
        watch.state_dict()
        watch.report()
        watch.load_state_dict(watch.state_dict())
        watch.stop()
        watch.start()
        watch.reset()
        model(X)
        assert {name: stats.calls for name, stats in watch.stats.items()} == {
            "relu": 1,
            "functional_relu": 1,
        }
        watch.close()
        assert snapshot(model) == before
        relustat.unwatch(other)
        with relustat.watch(other) as later:
            other(X)
        assert later.stats["relu"].calls == 1

    in_background(lambda: model(X), lambda: (watch.stats, watch.start()), watch_other)
    assert [exit_code_of_child(work) for _ in range(FORKS)] == [0] * FORKS
    watch.close()


class Waiting(nn.Module):
    """Calls a function in the midst of a forward."""

    def __init__(self, wait):
        super().__init__()
        self.relu = nn.ReLU()
        self.wait = wait

    def forward(self, x):
        x = self.relu(x)
        self.wait()
        return F.relu(x)


def test_a_child_closes_a_watch_of_a_model_that_another_thread_was_in():
    is_inside, end = threading.Event(), threading.Event()

    def mask(*_):
        is_inside.set()
        end.wait()

    model = Model()
    before = snapshot(model)
    watch = relustat.watch(model, mask=mask)
    thread = threading.Thread(target=model, args=(X,))
    thread.start()
    is_inside.wait()

    def work():
        watch.close()
        assert snapshot(model) == before

    assert exit_code_of_child(work) == 0
    watch.close()
    assert snapshot(model) != before
    end.set()
    thread.join()
    assert snapshot(model) == before


def test_a_fork_in_the_midst_of_a_forward():
    """Both processes go on in it."""
    processes = []

    def fork():
        child = os.fork()
        if not child:
            signal.alarm(30)
        processes.append(child)

    model = Waiting(fork)
    before = snapshot(model)
    with relustat.watch(model) as watch:
        model(X)
    counts = {name: (stats.calls, stats.zeros) for name, stats in watch.stats.items()}
    is_right = counts == {"relu": (1, 4), "functional_relu": (1, 4)} and snapshot(model) == before
    (child,) = processes
    if not child:
        os._exit(0 if is_right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert is_right


def test_a_child_of_a_process_that_has_a_pool_of_threads():
    """A child that asks for one thread, as workers of a DataLoader do, does not want the pool."""
    relu, x = relustat.CountingReLU(), torch.randn(64, 64, 64)
    torch.set_num_threads(2)
    relu(x)

    def work():
        torch.set_num_threads(1)
        relu(x)
        assert (relu.stats.calls, relu.stats.zeros) == (2, 2 * int((x <= 0).sum()))

    assert [exit_code_of_child(work) for _ in range(3)] == [0] * 3
