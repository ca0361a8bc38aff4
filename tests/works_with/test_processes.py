"""Processes, forked and spawned, workers of a DataLoader among them, and what they send back."""

import pytest
import torch
from shared_model import BINS, assert_counted, net
from torch.utils.data import DataLoader, Dataset

import relustat
from relustat import CountingReLU, MaxUnpool2d
from relustat.functional import max_pool2d, relu_stats

STARTS = ["fork", "spawn"]


class Images(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(index))


class Collate:
    """What a worker makes of each batch: its number, statistics, values and switches."""

    def __init__(self):
        self.relu = CountingReLU(bins=BINS)
        # So that workers get counters that are in place.
        self.relu(torch.zeros(1, 3, 9, 9))
        self.relu.reset()

    def __call__(self, images):
        x = torch.stack(images)
        self.relu(x)
        worker = torch.utils.data.get_worker_info().id
        return worker, self.relu.stats, relu_stats(x, BINS)[1], *max_pool2d(x, 3, 2)


@pytest.mark.parametrize("start", STARTS)
def test_workers_of_a_data_loader(start):
    loader = DataLoader(
        Images(), 3, num_workers=2, collate_fn=Collate(), multiprocessing_context=start
    )
    batches = list(loader)
    x = torch.stack(list(map(Images().__getitem__, range(12))))
    # The last of each worker are of all that it counted.
    first, second = {worker: stats for worker, stats, *_ in batches}.values()
    assert_counted(first + second, x, calls=4)
    for part, (_, _, stats, y, switches) in zip(x.split(3), batches, strict=True):
        assert_counted(stats, part, calls=1)
        expected, own = max_pool2d(part, 3, 2)
        assert torch.equal(y, expected)
        assert switches == own
        assert torch.equal(MaxUnpool2d()(y, switches), MaxUnpool2d()(expected, own))


def count_and_send(queue, relu, model):
    torch.set_num_threads(1)
    x = Images()[0][None]
    relu(x)
    with relustat.watch(model) as watch:
        model(x)
    sent = relu.stats, watch.stats, watch.report().to_dict(), watch.report(), max_pool2d(x, 3)[1]
    queue.put(sent)
    # What it sent lies in shared memory, which ends with it.
    queue.join()


@pytest.mark.parametrize("start", STARTS)
def test_a_process_counts_for_itself_and_sends_what_it_counted(start):
    context = torch.multiprocessing.get_context(start)
    queue = context.JoinableQueue()
    relu, model = CountingReLU(), net()
    x = Images()[0][None]
    relu(x)
    before = relu.stats
    process = context.Process(target=count_and_send, args=(queue, relu, model))
    process.start()
    stats, watched, table, report, switches = queue.get(timeout=60)
    queue.task_done()
    process.join(60)
    assert process.exitcode == 0
    assert stats == before + before
    assert relu.stats == before
    with relustat.watch(model) as watch:
        model(x)
    assert watched == watch.stats
    assert table == report.to_dict() == watch.report().to_dict()
    assert switches == max_pool2d(x, 3)[1]


def call_and_send(queue, model, watch):
    torch.set_num_threads(1)
    model(Images()[0][None])
    watch.close()
    queue.put({name: stats.calls for name, stats in watch.stats.items()})


def test_a_fork_while_a_watch_is_open():
    context = torch.multiprocessing.get_context("fork")
    queue = context.Queue()
    model = net()
    with relustat.watch(model) as watch:
        model(Images()[0][None])
        process = context.Process(target=call_and_send, args=(queue, model, watch))
        process.start()
        assert queue.get(timeout=60) == {"1": 2, "4": 2}
        process.join(60)
        assert {name: stats.calls for name, stats in watch.stats.items()} == {"1": 1, "4": 1}
        model(Images()[0][None])
    assert {name: stats.calls for name, stats in watch.stats.items()} == {"1": 2, "4": 2}
