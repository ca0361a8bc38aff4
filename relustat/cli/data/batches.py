"""Batches of a process's share, from any of them on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from relustat.data_pass.model_call import samples_in

from .share import Share


class Batches(Protocol):
    """The batches of a process.

    Attributes:
        total: the number of them; None if it is not known.
        unreadable: what was left out of the batches until now, because it could not be read.
        hint: what to do if the model does not take them; may be empty.
    """

    total: int | None
    unreadable: list[str]
    hint: str

    def beginning_at(self, batch: int) -> Iterator[Any]:
        """The batches from a number on. None is a batch of which nothing could be read."""


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
        hint: what to do if the model does not take them.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        size: int,
        limit: int | None,
        share: Share,
        workers: int,
        hint: str = "",
    ) -> None:
        self._dataset = dataset
        count = len(dataset)  # type: ignore[arg-type]
        self._samples = count if limit is None else min(limit, count)
        self._size = size
        self._share = share
        self._workers = workers
        self.hint = hint
        self.total: int | None = share.of(-(-self._samples // size))
        self.unreadable: list[str] = []

    def _numbers(self, batch: int) -> list[list[int]]:
        """The numbers of the samples of each batch."""
        step = self._share.count * self._size
        first = self._share.index * self._size + batch * step
        return [
            list(range(begin, min(begin + self._size, self._samples)))
            for begin in range(first, self._samples, step)
        ]

    def beginning_at(self, batch: int) -> Iterator[Any]:
        loader = DataLoader(
            self._dataset,
            batch_sampler=self._numbers(batch),
            num_workers=self._workers,
            collate_fn=_readable,
            worker_init_fn=_leave_interrupts_to_parent,
        )
        for samples, unreadable in loader:
            self.unreadable += unreadable
            yield samples


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
            self.total = _total(loader, share.of)
        self.hint = ""
        self.unreadable: list[str] = []

    def beginning_at(self, batch: int) -> Iterator[Any]:
        samples = 0
        torch.manual_seed(self._seed)
        for number, each in enumerate(self._loader):
            if self._limit is not None and samples >= self._limit:
                break
            samples += samples_in(each)
            if self._share.takes(number) and number // self._share.count >= batch:
                yield each


def _total(loader: Iterable[Any], of_share: Callable[[int], int]) -> int | None:
    try:
        return of_share(len(loader))  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return None
