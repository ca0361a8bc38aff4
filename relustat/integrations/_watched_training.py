"""A watch of a model for as long as a trainer trains it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import torch.distributed
from torch import nn

from relustat.report.report import Report
from relustat.watching.handle import Watch
from relustat.watching.watches import watch

# A training that an error has ended may have left its watch open.
_last_of: weakref.WeakKeyDictionary[nn.Module, WatchedTraining] = weakref.WeakKeyDictionary()


class WatchedTraining:
    """Counts the calls in training, over several trainings of a model and over checkpoints.

    Raises:
        ValueError, TypeError: if the options are not those of :func:`relustat.watch`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = {"during": "train", **options}
        watch(nn.Identity(), **self._options).close()
        self._watch: Watch | None = None
        self._state: dict[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options, "_watch": None, "_state": self.state_dict()}

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
        """Watches a model: with the counts of a checkpoint, or with those of before if it is it."""
        last = _last_of.get(model)
        if last is not None:
            last.end()
        # One that does not fit is not asked again.
        state, self._state = self._state, None
        if state is None and self._watch is not None and self._watch.model is model:
            state = self._watch.state_dict()
        begun = watch(model, **self._options)
        try:
            if state is not None:
                begun.load_state_dict(state)
        except BaseException:
            begun.close()
            raise
        self._watch = begun
        _last_of[model] = self

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
        if self._state is not None or self._watch is None:
            return self._state
        return self._watch.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """The counts with which the training that runs, or the next one, goes on."""
        if state is not None and self.is_open:
            self.watch.load_state_dict(state)
        else:
            self._state = state

    def forget_state(self) -> None:
        """The checkpoint was loaded for something else than a training."""
        self._state = None
