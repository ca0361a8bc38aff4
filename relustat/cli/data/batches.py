"""Batches of a process's share, from any of them on."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from torch.utils.data import DataLoader, Dataset, default_collate

from relustat.cli.seeds import mixed, set_seeds
from relustat.data_pass.loaders import number_of_batches
from relustat.data_pass.model_call import samples_in

from .share import Share


class Batches(Protocol):
    """The batches of a process.

    Attributes:
        total: the number of them; None if it is not known.
        unreadable: what was left out of the batches until now, because it could not be read.
        hint: what to do if the model does not take them; may be empty.
        identity: a text that changes with the files of the data; empty if they are not known.
    """

    total: int | None
    unreadable: list[str]
    hint: str
    identity: str

    def beginning_at(self, batch: int) -> Iterator[Any]:
        """The batches from a number on.

        Seeds are set before each is loaded, by its number among those of all shares.
        """


NOTHING_READ = object()
"""A batch of which nothing could be read."""


class Unreadable(NamedTuple):
    """What a data set gives in the place of a sample that it cannot read."""

    name: str


class DatasetBatches:
    """Batches of the samples of a data set, in their order.

    Args:
        dataset: the samples. An :class:`Unreadable` is left out.
        size: the number of samples in a batch.
        limit: only this number of samples, from the first on; None: all.
        share: which batches.
        workers: the number of processes that load them.
        seed: what the seeds of all batches are made of.
        hint: what to do if the model does not take them.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        size: int,
        limit: int | None,
        share: Share,
        workers: int,
        seed: int = 0,
        hint: str = "",
    ) -> None:
        self._dataset = dataset
        count = len(dataset)  # type: ignore[arg-type]
        self._samples = count if limit is None else min(limit, count)
        self._size = size
        self._share = share
        self._workers = workers
        self._seed = seed
        self.hint = hint
        self.identity = str(getattr(dataset, "identity", ""))
        self.total: int | None = share.of(-(-self._samples // size))
        self.unreadable: list[str] = []

    def beginning_at(self, batch: int) -> Iterator[Any]:
        first = self._share.index + batch * self._share.count
        begins = range(first * self._size, self._samples, self._share.count * self._size)
        loader = DataLoader(
            self._dataset,
            batch_sampler=_Ranges(begins, self._size, self._samples),
            num_workers=self._workers,
            collate_fn=_readable,
            worker_init_fn=_leave_interrupts_to_parent,
        )
        set_seeds(self._seed)
        batches = iter(loader)
        for begin in begins:
            set_seeds(mixed(self._seed, begin // self._size))
            samples, unreadable = next(batches)
            self.unreadable += unreadable
            yield NOTHING_READ if samples is None else samples


class _Ranges:
    """The numbers of the samples of each batch."""

    def __init__(self, begins: range, size: int, end: int) -> None:
        self._begins, self._size, self._end = begins, size, end

    def __iter__(self) -> Iterator[list[int]]:
        for begin in self._begins:
            yield list(range(begin, min(begin + self._size, self._end)))


def _readable(samples: list[Any]) -> tuple[Any, list[str]]:
    """The batch of all samples that could be read, and the names of the others."""
    read = [each for each in samples if not isinstance(each, Unreadable)]
    unreadable = [each.name for each in samples if isinstance(each, Unreadable)]
    return default_collate(read) if read else None, unreadable


def _leave_interrupts_to_parent(_: int) -> None:
    # Ctrl-C in a terminal reaches all its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class LoaderBatches:
    """Those batches of a loader that are in a share.

    Args:
        loader: the loader.
        seed: the seed of the order in which it shuffles.
        limit: the batches end with the one in which this number of samples is reached, in all
            shares together; None: with the last.
        share: which batches. The others are loaded, too.
    """

    def __init__(self, loader: Iterable[Any], seed: int, limit: int | None, share: Share) -> None:
        self._loader = loader
        self._seed = seed
        self._limit = limit
        self._share = share
        self.total: int | None = None
        if limit is None:
            batches = number_of_batches(loader)
            self.total = None if batches is None else share.of(batches)
        self.hint = self.identity = ""
        self.unreadable: list[str] = []

    def beginning_at(self, batch: int) -> Iterator[Any]:
        samples = 0
        set_seeds(self._seed)
        batches = iter(self._loader)
        for number in itertools.count():
            if self._limit is not None and samples >= self._limit:
                return
            set_seeds(mixed(self._seed, number))
            try:
                each = next(batches)
            except StopIteration:
                return
            samples += samples_in(each)
            if self._share.takes(number) and number // self._share.count >= batch:
                yield each
