"""relustat's counts in trackio (https://pypi.org/project/trackio)."""

from __future__ import annotations

from typing import Any

from relustat._checks import as_integer
from relustat._optional import import_optional
from relustat.report.report import Report
from relustat.watching.handle import Watch

from ._writers import going_on_without
from .metrics import report_of, with_histograms

__all__ = ["log"]

# As many as trackio.Histogram makes.
_MOST_BINS = 512


def log(run: Any, counts: Watch | Report, step: int | None = None) -> None:
    """Logs all numbers, and the inputs of each call site as a ``trackio.Histogram``, to a run.

    :mod:`relustat.integrations.metrics` has the names. Histograms are exact in our bins, of which
    up to 512 are kept: :func:`~relustat.integrations.metrics.filled_bins` says how.

    If the run fails to take them, there is one warning, and training goes on.

    Args:
        run: what ``trackio.init()`` returns.
        counts: a watch, or a report.
        step: the step of the training; None: the next one.

    Raises:
        ImportError: if trackio is missing.
        TypeError: if ``run`` or ``counts`` is something else.
        ValueError: if ``step`` is no integer.

    Example:
        >>> import torch, relustat, trackio  # doctest: +SKIP
        >>> from relustat.integrations import trackio as relustat_trackio  # doctest: +SKIP
        >>> run = trackio.init(project="relus")  # doctest: +SKIP
        >>> with relustat.watch(model) as watch:  # doctest: +SKIP
        ...     for step, x in enumerate(loader):
        ...         model(x)
        ...         relustat_trackio.log(run, watch, step)
        >>> trackio.finish()  # doctest: +SKIP
    """
    if not hasattr(run, "log"):
        raise TypeError(f"trackio.log: run must be what trackio.init() returns, got {run!r}")
    if step is not None:
        step = as_integer("trackio.log: step", step)
    trackio = import_optional("trackio", "trackio", "relustat.integrations.trackio")
    report = report_of("trackio.log", counts)
    found = with_histograms(report, trackio.Histogram, _MOST_BINS)
    with going_on_without("trackio", run):
        run.log(found, step=step)
