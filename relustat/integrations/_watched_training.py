"""A watch of a model for as long as a trainer trains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed
from torch import nn

from relustat.report.report import Report
from relustat.watching.handle import Watch
from relustat.watching.watches import watch


class WatchedTraining:
    """Counts the calls in training, over several trainings and over checkpoints."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = {"during": "train", **options}
        self._watch: Watch | None = None
        self._state: dict[str, Any] | None = None

    @property
    def watch(self) -> Watch:
        """The watch of the training that runs, or ran last.

        Raises:
            ValueError: if there was none.
        """
        if self._watch is None:
            raise ValueError("watch: no training has begun, so nothing is watched")
        return self._watch

    @property
    def is_open(self) -> bool:
        return self._watch is not None and self._watch.is_open

    def begin(self, model: nn.Module) -> None:
        """Watches a model, with the counts of before."""
        state = self.state_dict()
        begun = watch(model, **self._options)
        if state is not None:
            try:
                begun.load_state_dict(state)
            except BaseException:
                begun.close()
                raise
        self._watch, self._state = begun, None

    def end(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def report(self) -> Report:
        """The counts of all processes, which ask together."""
        self._add_up()
        return self.watch.report()

    def snapshot(self, epoch: int) -> None:
        """Ends a span of the history. In a second training epochs go on from those of the first."""
        self._add_up()
        spans = self.watch.history.spans
        self.watch.snapshot(max(epoch, spans[-1].last + 1) if spans else epoch)

    def _add_up(self) -> None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self.watch.all_reduce()

    def state_dict(self) -> dict[str, Any] | None:
        return self._state if self._watch is None else self._watch.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """The counts with which the training that runs, or the next one, goes on."""
        if state is not None and self.is_open:
            self.watch.load_state_dict(state)
        else:
            self._watch, self._state = None, state
