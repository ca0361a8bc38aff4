"""Trains with counting for a long time: counts must equal a replay, and memory must stay flat.

Two threads train a trunk each, and share a head that does not change. One watch counts all, and a
third thread reads it. A round begins with the weights and data of its seed, so the rounds of one
seed count the same: that is what a plain copy, run once, gives to NumPy. After the rounds, a model
is watched and closed, and swapped and back, again and again.
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import relustat

SEEDS, STEPS, THREADS, CYCLES = 4, 150, 2, 10_000
BINS = relustat.LinearBins(-4, 4, 64)
# What allocators may keep beyond the warm-up.
MOST_GROWTH_MIB = 16.0
_PAGE = os.sysconf("SC_PAGE_SIZE")

# By name of a ReLU: its calls, its zeros by unit and its histogram in one row.
Counts = dict[str, list[int]]


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(8 * 7 * 7, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.conv(x))).flatten(1)
        return F.relu(self.fc(x))


class Network(nn.Module):
    """A trunk for each thread, and the head that they share."""

    def __init__(self) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(Trunk() for _ in range(THREADS))
        self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))
        self.head.requires_grad_(requires_grad=False)

    def forward(self, x: torch.Tensor, thread: int) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.trunks[thread](x))
        return logits


def train(network: Network, seed: int, thread: int) -> None:
    """The steps of one thread in a round. They depend on nothing else."""
    random = torch.Generator().manual_seed(1000 * seed + thread)
    trunk = network.trunks[thread]
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.normal_(0, 0.15, generator=random)
    optimizer = torch.optim.SGD(trunk.parameters(), 0.05, momentum=0.9)
    for _ in range(STEPS):
        x = torch.randn(16, 3, 16, 16, generator=random)
        target = torch.randint(10, (16,), generator=random)
        optimizer.zero_grad()
        F.cross_entropy(network(x, thread), target).backward()
        optimizer.step()


def replayed(network: Network, seed: int) -> Counts:
    """The counts of a round of a network that is not watched, one thread after the other."""
    rows: dict[str, np.ndarray] = {}

    def note(name: str, x: torch.Tensor) -> None:
        values = x.detach().numpy()
        zeros = (values <= 0).sum(tuple(axis for axis in range(x.dim()) if axis != 1))
        row = np.concatenate([[1], zeros, np.histogram(values, BINS.edges)[0]])
        rows[name] = rows.get(name, 0) + row

    for thread, trunk in enumerate(network.trunks):
        path = f"trunks.{thread}"
        for name, module in ((f"{path}.relu", trunk.conv), (f"{path}.functional_relu", trunk.fc)):
            module.register_forward_hook(lambda *a, name=name: note(name, a[2]))
    network.head[0].register_forward_hook(lambda *a: note("head.1", a[2]))
    for thread in range(THREADS):
        train(network, seed, thread)
    return {name: row.tolist() for name, row in rows.items()}


def counted(watch: relustat.Watch) -> Counts:
    return {
        name: [stats.calls, *stats.unit_zeros.tolist(), *stats.histogram.counts().tolist()]
        for name, stats in watch.stats.items()
    }


def expected(replays: dict[int, Counts], rounds: Counter[int]) -> Counts:
    """What these rounds count together."""
    return {
        name: sum(rounds[seed] * np.array(replays[seed][name]) for seed in rounds).tolist()
        for name in replays[0]
    }


def resident_mib() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * _PAGE / 2**20


def run_round(network: Network, watch: relustat.Watch, seed: int) -> None:
    errors: list[BaseException] = []
    ended = threading.Event()

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    def read() -> None:
        while not ended.wait(0.01):
            for stats in watch.stats.values():
                assert stats.elements % stats.calls == 0, "half of a call was read"
            str(watch.report())
            watch.state_dict()

    works = [lambda thread=thread: train(network, seed, thread) for thread in range(THREADS)]
    trainers = [threading.Thread(target=guarded, args=(work,)) for work in works]
    reader = threading.Thread(target=guarded, args=(read,))
    for thread in (*trainers, reader):
        thread.start()
    for thread in trainers:
        thread.join()
    ended.set()
    reader.join()
    if errors:
        raise errors[0]


def soak(minutes: float) -> None:
    torch.manual_seed(0)
    network = Network()
    replays = {seed: replayed(copy.deepcopy(network), seed) for seed in range(SEEDS)}
    rounds: Counter[int] = Counter()
    began, warm = time.monotonic(), 0.0
    with relustat.watch(network, BINS) as watch:
        while time.monotonic() - began < 60 * minutes or rounds.total() < SEEDS:
            seed = rounds.total() % SEEDS
            run_round(network, watch, seed)
            rounds[seed] += 1
            assert counted(watch) == expected(replays, rounds), "counts differ from the replay"
            warm = resident_mib() if rounds.total() == SEEDS else warm
    calls = sum(stats.calls for stats in watch.stats.values())
    print(
        f"{(time.monotonic() - began) / 60:.1f} minutes, {rounds.total()} rounds, {calls:,} calls "
        "counted by two threads: equal to the replay after each round"
    )
    report("training", warm)


def cycle(what: str, cycles: int, once: Callable[[], None]) -> None:
    for _ in range(cycles // 10):
        once()
    warm, objects = resident_mib(), len(gc.get_objects())
    for _ in range(cycles - cycles // 10):
        once()
    report(f"{cycles:,} cycles of {what}", warm)
    gc.collect()
    print(f"  Python objects: {len(gc.get_objects()) - objects:+d}")


def report(what: str, warm: float) -> None:
    now = resident_mib()
    print(f"{what}: {warm:.1f} MiB resident after the warm-up, {now:.1f} at the end", flush=True)
    assert now - warm < MOST_GROWTH_MIB, f"memory grew by {now - warm:.1f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # for a thread of ours, one of PyTorch's: sums have one order
    soak(arguments.minutes)
    trunk, x = Trunk(), torch.randn(1, 3, 16, 16)

    def watch_and_close() -> None:
        with relustat.watch(trunk) as watch:
            trunk(x)
        assert [stats.calls for stats in watch.stats.values()] == [1, 1]

    def swap_and_unswap() -> None:
        relustat.swap(trunk)
        trunk(x)
        assert trunk.relu.counters.stats.calls == 1
        relustat.unswap(trunk)

    cycle("watch and close", arguments.cycles, watch_and_close)
    cycle("swap and unswap", arguments.cycles, swap_and_unswap)


if __name__ == "__main__":
    main()
