"""relustat's counts in Weights & Biases (https://docs.wandb.ai)."""

from __future__ import annotations

from typing import Any

from relustat._checks import as_integer
from relustat._optional import import_optional
from relustat.report.report import Report
from relustat.watching.handle import Watch

from ._writers import going_on_without
from .metrics import report_of, with_histograms

__all__ = ["log", "values"]

# What wandb.Histogram takes.
_MOST_BINS = 512


def values(counts: Watch | Report) -> dict[str, Any]:
    """All numbers and histograms, to be logged with yours: ``run.log({**yours, **these})``.

    :mod:`relustat.integrations.metrics` has the names. Histograms are ``wandb.Histogram``, exact in
    our bins, of which up to 512 are kept:
    :func:`~relustat.integrations.metrics.filled_bins` says how.

    Args:
        counts: a watch, or a report.

    Raises:
        ImportError: if wandb is missing.
        TypeError: if ``counts`` is something else.
    """
    wandb = import_optional("wandb", "wandb", "relustat.integrations.wandb")
    report = report_of("wandb.values", counts)
    return with_histograms(report, wandb.Histogram, _MOST_BINS)


def log(run: Any, counts: Watch | Report, step: int | None = None) -> None:
    """Logs all numbers and histograms of :func:`values` to a run.

    If the run fails to take them, there is one warning, and training goes on.

    Args:
        run: what ``wandb.init()`` returns.
        counts: a watch, or a report.
        step: the step of the training, not below that of an earlier log; None: the next one.

    Raises:
        ImportError: if wandb is missing.
        TypeError: if ``run`` or ``counts`` is something else.
        ValueError: if ``step`` is no integer.

    Example:
        >>> import tempfile, torch, relustat, wandb
        >>> from relustat.integrations import wandb as relustat_wandb
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> with relustat.watch(model) as watch, tempfile.TemporaryDirectory() as folder:
        ...     settings = wandb.Settings(silent=True)
        ...     with wandb.init(mode="offline", dir=folder, settings=settings) as run:
        ...         for step in range(3):
        ...             _ = model(torch.randn(16, 4))
        ...             relustat_wandb.log(run, watch, step)
    """
    if not hasattr(run, "log"):
        raise TypeError(f"wandb.log: run must be what wandb.init() returns, got {run!r}")
    if step is not None:
        step = as_integer("wandb.log: step", step)
    found = values(counts)
    with going_on_without("wandb", run):
        run.log(found, step=step)
