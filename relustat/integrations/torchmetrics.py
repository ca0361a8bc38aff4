"""relustat's counts as a metric of torchmetrics (https://lightning.ai/docs/torchmetrics)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relustat._checks import is_integer
from relustat._optional import import_optional
from relustat._torch_internals import unseen_by_function_modes
from relustat.ops.counting_relu import relu_stats
from relustat.ops.inputs import describe
from relustat.ops.unit_dim import UnitDim

import_optional("torchmetrics", "torchmetrics", "relustat.integrations.torchmetrics")

from torchmetrics import Metric  # noqa: E402

__all__ = ["ReLUMetric"]


class ReLUMetric(Metric):  # type: ignore[misc]
    """Zeros and dead units of one ReLU, over batches and processes.

    ``update(x)`` counts the inputs of the ReLU. All states are int64 sums, so torchmetrics adds
    them up over processes, exactly. ``compute()`` has the names of the columns of a report, see
    :class:`relustat.report.Row`: ``calls``, ``elements``, ``zero_fraction``, ``units``, ``dead``,
    ``always_on``, ``death_rate`` and ``nans``. In a ``MetricCollection`` with
    ``compute_groups=False``: it takes metrics for one if their first numbers are the same.

    Args:
        units: the number of units: channels, or features.
        unit_dim: their dimension in ``x``, as in :class:`relustat.Counters`.
        options: those of ``torchmetrics.Metric``.

    Attributes:
        unit_zeros: zeros of each unit, int64 [units].
        unit_dead_calls: calls in which each unit gave only zeros, int64 [units].

    Raises:
        TypeError: if ``x`` is no tensor.
        ValueError: if ``units`` is not an integer of at least 1, or ``x`` has another number.

    Example:
        >>> import torch
        >>> from relustat.integrations.torchmetrics import ReLUMetric
        >>> metric = ReLUMetric(units=2)
        >>> metric.update(torch.tensor([[-1.0, 2.0], [-3.0, -4.0]]))
        >>> metric.compute()["zero_fraction"], metric.compute()["dead"]
        (tensor(0.7500, dtype=torch.float64), tensor(1))
    """

    full_state_update = False
    calls: Tensor
    elements: Tensor
    nans: Tensor
    unit_zeros: Tensor
    unit_dead_calls: Tensor

    def __init__(self, units: int, unit_dim: UnitDim = "auto", **options: Any) -> None:
        super().__init__(**options)
        if not is_integer(units) or units < 1:
            raise ValueError(f"ReLUMetric: units must be an integer of at least 1, got {units!r}")
        self._units, self._unit_dim = units, unit_dim
        for name in ("calls", "elements", "nans"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("unit_zeros", "unit_dead_calls"):
            self.add_state(name, torch.zeros(units, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, x: Tensor) -> None:
        """Counts the inputs of one call of the ReLU."""
        if not isinstance(x, Tensor):
            raise TypeError(f"ReLUMetric: x must be a Tensor, got {describe(x)}")
        # A watch would take it for a ReLU of the model.
        with unseen_by_function_modes():
            _, stats = relu_stats(x.detach(), bins=None, unit_dim=self._unit_dim)
        if not stats.calls:
            return
        if stats.widths != (self._units,):
            raise ValueError(
                f"ReLUMetric: x must have {self._units} units, got {stats.widths[0]} in "
                f"{describe(x)}"
            )
        self.calls += stats.calls
        self.elements += stats.elements
        self.nans += stats.nans
        counts = stats.by_width[self._units]
        self.unit_zeros += torch.tensor(counts.zeros, device=self.unit_zeros.device)
        self.unit_dead_calls += torch.tensor(counts.dead_calls, device=self.unit_zeros.device)

    def set_dtype(self, dst_type: Any) -> ReLUMetric:
        """Does nothing: the states are integers, of whatever format the model is."""
        return self

    def compute(self) -> dict[str, Tensor]:
        """Int64 and float64 tensors []; rates of nothing are NaN."""
        dead = (self.unit_dead_calls == self.calls) & (self.calls > 0)
        always_on = (self.unit_zeros == 0) & (self.calls > 0)
        return {
            "calls": self.calls,
            "elements": self.elements,
            "zero_fraction": self.unit_zeros.sum().double() / self.elements,
            "units": torch.tensor(self._units, device=self.calls.device),
            "dead": dead.sum(),
            "always_on": always_on.sum(),
            "death_rate": (self.unit_dead_calls.double() / self.calls).mean(),
            "nans": self.nans,
        }
