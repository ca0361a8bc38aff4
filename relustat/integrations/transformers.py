"""relustat's counts in the trainings of transformers (https://huggingface.co/docs/transformers)."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from relustat._files import replacing
from relustat._optional import import_optional
from relustat.watching.handle import Watch

from ._watched_training import WatchedTraining
from ._writers import going_on_without
from .metrics import scalars

import_optional("transformers", "transformers", "relustat.integrations.transformers")

from transformers import (  # noqa: E402
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
)

__all__ = ["WatchCallback", "watch_trainer"]


class WatchCallback(TrainerCallback):  # type: ignore[misc]
    """Counts every activation in training, and adds the numbers to what the trainer logs.

    Whenever the trainer logs its loss, the numbers of the whole training so far are added to
    ``trainer.state.log_history``, which checkpoints hold as ``trainer_state.json``. They have the
    names of :mod:`relustat.integrations.metrics`. :func:`watch_trainer` also gives them to what
    ``report_to`` names. Checkpoints hold the counts, as ``relustat-<process>.pt``, so a training
    that goes on from one in its ``output_dir`` goes on with its counts; else there is a warning.
    (What is pushed to a hub has none.) Several processes count each for itself; what is logged is
    their sum.

    Args:
        options: those of :func:`relustat.watch`; most transformers need ``activations="all"``, or
            ``"relu-like"``.

    Example:
        >>> from relustat.integrations.transformers import WatchCallback
        >>> callback = WatchCallback(activations="all")  # for Trainer(callbacks=[callback])
    """

    def __init__(self, **options: Any) -> None:
        self._training = WatchedTraining(options)
        self._comes_first = False

    @property
    def watch(self) -> Watch:
        """The watch of the training that runs, or ran last.

        Raises:
            ValueError: if there was none.
        """
        return self._training.watch

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        self._training.end()  # of a training that an error has ended
        if state.global_step:
            self._go_on(_file_of(args, state), state)
        self._training.begin(model)

    def _go_on(self, file: Path, state: Any) -> None:
        """Takes the counts of the checkpoint from which a training goes on."""
        saved = torch.load(file, weights_only=True) if file.exists() else {}
        if saved.get("log") == _digest(state):
            self._training.load_state_dict(saved["watch"])
        else:
            warnings.warn(
                f"relustat: {file} must hold the counts of the training that goes on, and does "
                "not; it begins to count anew",
                stacklevel=2,
            )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        path = _file_of(args, state)
        with going_on_without("relustat's part of a checkpoint", self), replacing(path) as file:
            torch.save({"log": _digest(state), "watch": self._training.state_dict()}, file)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not self._training.is_open or "loss" not in (logs or {}):
            return
        with going_on_without("relustat's report", self):
            found = scalars(self._training.report())
            state.log_history[-1].update(found)
            if self._comes_first:
                logs.update(found)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._training.is_open:
            with going_on_without("relustat's count of an epoch", self):
                self._training.snapshot(round(state.epoch))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._training.end()


def _file_of(args: Any, state: Any) -> Path:
    """The counts of this process in the checkpoint of a step."""
    folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
    return folder / f"relustat-{args.process_index}.pt"


def _digest(state: Any) -> str:
    """What tells the log of a training from that of another one."""
    return hashlib.sha256(json.dumps(state.log_history, sort_keys=True).encode()).hexdigest()


class _NotPrinted(TrainerCallback):  # type: ignore[misc]
    """Stands before what prints the logs, which are long with our numbers."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        for name in [name for name in logs or {} if name.startswith("relustat/")]:
            del logs[name]


def watch_trainer(trainer: Any, **options: Any) -> WatchCallback:
    """Counts every activation in a trainer's training, and reports the numbers with its own.

    Those who get them are TensorBoard, W&B and whoever else ``report_to`` names. They write some
    names in their own way, such as ``train/relustat/dead``. Nothing of them is printed.

    Args:
        trainer: a ``transformers.Trainer``.
        options: those of :func:`relustat.watch`.

    Returns:
        The callback, whose ``watch`` has all counts.

    Raises:
        TypeError: if ``trainer`` is something else.
        ValueError: if it has a :class:`WatchCallback` already.

    Example:
        >>> from relustat.integrations.transformers import watch_trainer
        >>> counts = watch_trainer(trainer, activations="all")  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
        >>> print(counts.watch.report())  # doctest: +SKIP
    """
    if not hasattr(trainer, "callback_handler"):
        raise TypeError(f"watch_trainer: trainer must be a Trainer, got {type(trainer).__name__}")
    callbacks = trainer.callback_handler.callbacks
    if any(isinstance(each, WatchCallback) for each in callbacks):
        raise ValueError(
            "watch_trainer: a trainer must have one WatchCallback, got one that has it already; "
            "trainer.remove_callback(WatchCallback) takes it off"
        )
    callback = WatchCallback(**options)
    callback._comes_first = True
    callbacks.insert(0, callback)
    printers = (PrinterCallback, ProgressCallback)
    for index, each in enumerate(callbacks):
        if isinstance(each, printers):
            callbacks.insert(index, _NotPrinted())
            break
    return callback
