"""Counts by group: what is counted within a block of code."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from relustat.stats.relu_stats import ReLUStats

Stats = dict[str, ReLUStats]
"""Statistics by call site."""


class Groups:
    """The counts of named blocks: the differences of what was counted after them and before.

    So a block costs nothing while it runs, and adds up to the whole exactly.

    Args:
        stats: gives what was counted so far.
    """

    def __init__(self, stats: Callable[[], Stats]) -> None:
        self._stats = stats
        self._closed: dict[str, Stats] = {}
        self._open: tuple[str, Stats] | None = None

    @contextlib.contextmanager
    def block(self, name: str) -> Iterator[None]:
        if not isinstance(name, str):
            raise TypeError(f"watch: the name of a group must be a str, got {name!r}")
        if self._open is not None:
            raise ValueError(
                f"watch: one group can be open at a time, got {name!r} within {self._open[0]!r}"
            )
        try:
            try:
                self._open = name, self._stats()
                yield
            finally:
                self._close()
        finally:
            # Again: an interrupt may have come during the first time.
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            # In one step: nothing is counted twice.
            self.__dict__.update(_closed=self.stats, _open=None)

    @property
    def stats(self) -> dict[str, Stats]:
        """The statistics of each group, in the order of their first blocks."""
        groups = dict(self._closed)
        if self._open is not None:
            name, before = self._open
            found, now = dict(groups.get(name, {})), self._stats()
            for site, stats in now.items():
                since = stats - before[site] if site in before else stats
                if since.calls:
                    found[site] = found[site].then(since) if site in found else since
            # In the order of execution.
            groups[name] = {site: found[site] for site in (*now, *found) if site in found}
        return groups

    def reset(self) -> None:
        """Forgets all counts, which the watch sets to 0; an open block goes on."""
        self.load({})

    def load(self, groups: Mapping[str, Stats]) -> None:
        """Replaces all counts, when the watch replaces its own."""
        self._closed = dict(groups)
        if self._open is not None:
            self._open = self._open[0], self._stats()
