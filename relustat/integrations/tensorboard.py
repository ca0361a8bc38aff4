"""relustat's counts in TensorBoard (https://www.tensorflow.org/tensorboard)."""

from __future__ import annotations

from typing import Any

from relustat._checks import as_integer
from relustat.report.report import Report
from relustat.watching.handle import Watch

from . import metrics
from ._writers import going_on_without

__all__ = ["log"]


def log(writer: Any, counts: Watch | Report, step: int, *, histograms: bool = True) -> None:
    """Writes all numbers as scalars, and the inputs of each call site as a histogram.

    :mod:`relustat.integrations.metrics` has the names. The counts of a histogram are exact, in our
    bins; :func:`~relustat.integrations.metrics.filled_bins` says which. TensorBoard draws them in
    bins of its own. Its sums are those of the bins' middles. Scalars are rounded to float32, as
    TensorBoard keeps them.

    If the writer fails, there is one warning, and training goes on.

    Args:
        writer: a ``torch.utils.tensorboard.SummaryWriter``, or what has its methods.
        counts: a watch, or a report.
        step: the step of the training.
        histograms: write histograms, too.

    Raises:
        TypeError: if ``writer`` or ``counts`` is something else.
        ValueError: if ``step`` is no integer.

    Example:
        >>> import tempfile, torch, relustat
        >>> from torch.utils.tensorboard import SummaryWriter
        >>> from relustat.integrations import tensorboard
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> with relustat.watch(model) as watch, tempfile.TemporaryDirectory() as folder:
        ...     writer = SummaryWriter(folder)
        ...     for step in range(3):
        ...         _ = model(torch.randn(16, 4))
        ...         tensorboard.log(writer, watch, step)
        ...     writer.close()
    """
    if not hasattr(writer, "add_histogram_raw"):
        raise TypeError(f"tensorboard.log: writer must be a SummaryWriter, got {writer!r}")
    report = metrics.report_of("tensorboard.log", counts)
    step = as_integer("tensorboard.log: step", step)
    numbers = metrics.scalars(report)
    found = metrics.histograms(report) if histograms else {}
    with going_on_without("tensorboard", writer):
        for name, number in numbers.items():
            # Not in double precision: TensorBoard's fast server shows none of these.
            writer.add_scalar(name, number, step)
        for name, histogram in found.items():
            counted, edges = metrics.filled_bins(histogram)
            if not len(counted):
                continue
            middles = (edges[:-1] + edges[1:]) / 2
            writer.add_histogram_raw(
                name,
                min=edges[0],
                max=edges[-1],
                num=counted.sum(),
                sum=counted @ middles,
                sum_squares=counted @ middles**2,
                bucket_limits=edges[1:].tolist(),
                bucket_counts=counted.tolist(),
                global_step=step,
            )
