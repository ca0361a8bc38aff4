"""relustat's counts in Lightning's trainings (https://lightning.ai/docs/pytorch)."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from relustat._checks import is_integer
from relustat.report.report import Report
from relustat.watching.handle import Watch

from . import mlflow, tensorboard, wandb
from ._watched_training import WatchedTraining
from ._writers import going_on_without
from .metrics import scalars

__all__ = ["WatchCallback"]


def _bases() -> Iterator[type[Any]]:
    """``Callback`` of Lightning's two packages, which are two classes: those that are there."""
    for package in ("lightning", "pytorch_lightning"):
        if importlib.util.find_spec(package) is not None:
            name = "lightning.pytorch" if package == "lightning" else package
            yield importlib.import_module(name).Callback


_BASES = tuple(_bases())
if not _BASES:
    raise ImportError(
        "relustat.integrations.lightning needs lightning, or pytorch_lightning, which is not "
        "installed: pip install 'relustat[lightning]'"
    )


class WatchCallback(*_BASES):  # type: ignore[misc]
    """Counts every ReLU in training, and gives the numbers to the trainer's loggers.

    It is a callback of ``lightning.pytorch`` and of ``pytorch_lightning``. It counts what is called
    in training mode, all of ``training_step`` included. The numbers are those of the whole training
    so far, by the names of :mod:`relustat.integrations.metrics`. TensorBoard and W&B get
    histograms, too. Each epoch is a span of :attr:`relustat.Watch.history`. Checkpoints hold the
    counts, so a training that goes on from one goes on with its counts. Several processes count
    each for itself; what is logged is their sum.

    If a logger fails, there is one warning, and training goes on. A callback that is used for
    another model begins to count anew.

    Args:
        every: steps from one log to the next; None: the trainer's ``log_every_n_steps``.
        options: those of :func:`relustat.watch`.

    Raises:
        TypeError, ValueError: if ``every`` is not an integer of at least 1, or an option is wrong.

    Example:
        >>> import lightning, torch
        >>> from relustat.integrations.lightning import WatchCallback
        >>> class Model(lightning.LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.net = torch.nn.Sequential(
        ...             torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
        ...         )
        ...
        ...     def training_step(self, batch):
        ...         return self.net(batch).square().mean()
        ...
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), 0.1)
        >>> counts = WatchCallback(every=10)
        >>> trainer = lightning.Trainer(
        ...     max_epochs=1, callbacks=[counts], accelerator="cpu", logger=False,
        ...     enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        ... )
        >>> trainer.fit(Model(), torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8))
        >>> counts.watch.stats["net.1"].calls
        8
    """

    def __init__(self, every: int | None = None, **options: Any) -> None:
        super().__init__()
        if every is not None and (not is_integer(every) or every < 1):
            raise ValueError(
                f"WatchCallback: every must be None or an integer of at least 1, got {every!r}"
            )
        self._every = every
        self._training = WatchedTraining(options)
        self._batch = contextlib.ExitStack()
        self._step = self._logged = -1

    @property
    def watch(self) -> Watch:
        """The watch of the training that runs, or ran last.

        Raises:
            ValueError: if there was none.
        """
        return self._training.watch

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._training.begin(pl_module)
        self._step = self._logged = -1

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch.close()  # of a batch that was left out
        if self._training.is_open:
            self._batch.enter_context(self.watch.counting())

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch.close()
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return
        # By which Lightning logs what this batch gives: the number of batches before.
        self._step = trainer.fit_loop.epoch_loop._batches_that_stepped
        every = self._every or trainer.log_every_n_steps
        if every and (self._step + 1) % every == 0:
            self._log(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._batch.close()
        with going_on_without("relustat's count of an epoch", self):
            self._training.snapshot(trainer.current_epoch)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._step > self._logged:
            self._log(trainer)
        self._training.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._batch.close()
        self._training.end()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        self._training.forget_state()

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        self._training.forget_state()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.state.fn != "fit":
            self._training.forget_state()

    def state_dict(self) -> dict[str, Any]:
        state = self._training.state_dict()
        return {} if state is None else {"watch": state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._training.load_state_dict(state_dict.get("watch"))

    def _log(self, trainer: Any) -> None:
        # Processes with other call sites, for example: each of them raises the same error.
        with going_on_without("relustat's report", self):
            report = self._training.report()
            self._logged = self._step
            if trainer.is_global_zero:
                for logger in trainer.loggers:
                    with going_on_without(f"Lightning's {type(logger).__name__}", logger):
                        _give(logger, report, self._step)


def _give(logger: Any, report: Report, step: int) -> None:
    # The two packages have classes of the same names.
    kinds = {kind.__name__ for kind in type(logger).__mro__}
    if "TensorBoardLogger" in kinds:
        tensorboard.log(logger.experiment, report, step)
        return
    if "WandbLogger" in kinds:
        found = wandb.values(report)
    elif "MLFlowLogger" in kinds:
        found = {mlflow.metric_name(name): number for name, number in scalars(report).items()}
    else:
        found = scalars(report)
    logger.log_metrics(found, step=step)
