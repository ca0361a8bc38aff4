"""The parts of a report and a history that tables, pictures and pages read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from relustat.stats.histogram import Int64Array
from relustat.stats.relu_stats import ReLUStats

from .call_site import CallSite
from .findings import Finding
from .row import Row


class Span(Protocol):
    """The part of :class:`relustat.history.EpochSpan` that a page shows."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...


class EpochCounts(Protocol):
    """The part of :class:`relustat.history.History` that a page shows."""

    @property
    def spans(self) -> Sequence[Span]: ...

    @property
    def call_sites(self) -> tuple[str, ...]: ...

    def total(self, site: str) -> ReLUStats: ...

    def dead_units(self, site: str, width: int | None = None) -> Int64Array: ...

    def trend(self, site: str, name: str) -> tuple[Int64Array, npt.NDArray[np.float64]]: ...

    def deaths(self, site: str, width: int | None = None) -> dict[int, Int64Array]: ...


class ShownReport(Protocol):
    """The part of :class:`relustat.Report` that comparisons and pages show."""

    stats: dict[str, ReLUStats]
    call_sites: dict[str, CallSite]
    history: EpochCounts | None

    @property
    def rows(self) -> list[Row]: ...

    @property
    def findings(self) -> list[Finding]: ...

    @property
    def notes(self) -> list[str]: ...

    @property
    def groups(self) -> Mapping[str, ShownReport]: ...

    def folded(self, places: Collection[str] | None = None) -> ShownReport: ...
