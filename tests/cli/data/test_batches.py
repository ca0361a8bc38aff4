"""Which batches a process gets."""

import itertools

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from relustat.cli.data.batches import NOTHING_READ, DatasetBatches, LoaderBatches, Unreadable
from relustat.cli.data.share import Share


class Numbers(Dataset):
    def __init__(self, count, unreadable=()):
        self.count, self.unreadable = count, unreadable

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return Unreadable(f"file {index}") if index in self.unreadable else torch.tensor(index)


def lists(batches, begin=0):
    found = batches.beginning_at(begin)
    return [None if each is NOTHING_READ else each.tolist() for each in found]


@pytest.mark.parametrize("workers", [0, 2])
def test_all_in_order(workers):
    batches = DatasetBatches(Numbers(10), 4, None, Share(), workers)
    assert batches.total == 3
    assert lists(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert lists(batches, 2) == [[8, 9]]
    assert lists(batches, 3) == []


def test_a_limit():
    batches = DatasetBatches(Numbers(10), 4, 6, Share(), 0)
    assert batches.total == 2
    assert lists(batches) == [[0, 1, 2, 3], [4, 5]]
    assert lists(DatasetBatches(Numbers(3), 4, 100, Share(), 0)) == [[0, 1, 2]]


@pytest.mark.parametrize("samples", [0, 1, 7, 8, 9, 31, 32])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["dataset", "loader"])
def test_shares_hold_each_batch_once(samples, count, kind):
    def of(share):
        if kind == "dataset":
            return DatasetBatches(Numbers(samples), 4, None, share, 0)
        return LoaderBatches(DataLoader(Numbers(samples), batch_size=4), 0, None, share)

    whole = lists(of(Share()))
    shares = [of(Share(index, count)) for index in range(count)]
    found = [lists(share) for share in shares]
    assert [share.total for share in shares] == list(map(len, found))
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*found))
    assert [each for each in mixed if each is not None] == whole
    for share, its in zip(shares, found, strict=True):
        for begin in range(len(its) + 1):
            assert lists(share, begin) == its[begin:]


def test_a_share_of_a_share():
    parts = [Share(i, 3).part(j, 2) for i in range(3) for j in range(2)]
    for batch in range(50):
        assert sum(part.takes(batch) for part in parts) == 1
        assert all(
            Share(i, 3).takes(batch) == any(p.takes(batch) for p in parts[2 * i : 2 * i + 2])
            for i in range(3)
        )
    assert str(Share(1, 3)) == "2/3"


def test_what_cannot_be_read_is_left_out():
    batches = DatasetBatches(Numbers(10, {1, 4, 5, 6, 7, 9}), 4, None, Share(), 0)
    assert lists(batches) == [[0, 2, 3], None, [8]]
    assert batches.unreadable == [f"file {index}" for index in (1, 4, 5, 6, 7, 9)]


def test_a_shuffled_loader_has_one_order():
    def found():
        loader = DataLoader(Numbers(20), batch_size=4, shuffle=True)
        return lists(LoaderBatches(loader, 7, None, Share(1, 2)))

    torch.manual_seed(1)
    first = found()
    torch.manual_seed(2)
    assert found() == first
    assert sum(map(len, first)) == 8


def test_the_limit_of_a_loader_is_of_all_shares():
    def endless():
        while True:
            yield torch.arange(3)

    # 10 samples are reached in the fourth batch.
    sizes = [len(lists(LoaderBatches(endless(), 0, 10, Share(index, 3)))) for index in range(3)]
    assert sizes == [2, 1, 1]
    assert LoaderBatches(endless(), 0, 10, Share()).total is None
