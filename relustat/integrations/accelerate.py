"""relustat's counts in the trackers of accelerate (https://huggingface.co/docs/accelerate)."""

from __future__ import annotations

from typing import Any

from relustat._checks import as_integer
from relustat.report.report import Report
from relustat.watching.handle import Watch

from . import mlflow, tensorboard, trackio, wandb
from ._writers import going_on_without
from .metrics import report_of, scalars

__all__ = ["log"]


def log(accelerator: Any, counts: Watch | Report, step: int) -> None:
    """Logs all numbers to all trackers, and histograms to those that have them.

    These are TensorBoard, W&B and trackio. All processes call it together, with a watch: their
    counts are added up (:meth:`relustat.Watch.all_reduce`), and the main process logs the sums.

    If a tracker fails to take them, there is one warning, and training goes on.

    Args:
        accelerator: an ``accelerate.Accelerator`` whose ``init_trackers`` was called.
        counts: a watch, or a report of all processes.
        step: the step of the training.

    Raises:
        TypeError: if ``accelerator`` or ``counts`` is something else.
        ValueError: if ``step`` is no integer, or the processes have other call sites.

    Example:
        >>> import tempfile, torch, relustat
        >>> from accelerate import Accelerator
        >>> from relustat.integrations import accelerate as relustat_accelerate
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder)
        ...     accelerator.init_trackers("relus")
        ...     model = accelerator.prepare(torch.nn.Sequential(torch.nn.ReLU()))
        ...     with relustat.watch(model) as watch:
        ...         _ = model(torch.randn(16, 4))
        ...         relustat_accelerate.log(accelerator, watch, step=0)
        ...     accelerator.end_training()
    """
    if not hasattr(accelerator, "trackers"):
        raise TypeError(f"accelerate.log: accelerator must be an Accelerator, got {accelerator!r}")
    step = as_integer("accelerate.log: step", step)
    if isinstance(counts, Watch) and accelerator.num_processes > 1:
        counts.all_reduce()
    report = report_of("accelerate.log", counts)
    if not accelerator.is_main_process:
        return
    numbers = scalars(report)
    for tracker in accelerator.trackers:
        if tracker.name == "tensorboard":
            tensorboard.log(tracker.tracker, report, step)
        elif tracker.name == "wandb":
            wandb.log(tracker.tracker, report, step)
        elif tracker.name == "trackio":
            trackio.log(tracker.tracker, report, step)
        elif tracker.name == "mlflow":
            mlflow.log(report, step, run_id=tracker.tracker.info.run_id)
        else:
            with going_on_without(f"accelerate's tracker {tracker.name}", tracker):
                tracker.log(numbers, step=step)
