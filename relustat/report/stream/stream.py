"""A thread that writes a report to a file, again and again."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from relustat._checks import is_integer
from relustat._locks import fork_safe_lock
from relustat._printable import printable
from relustat.report.pacing import check_seconds, repeat
from relustat.report.report import Report

from .json_lines import JsonLines
from .parquet_parts import ParquetParts
from .record import record_of, rows_of

if TYPE_CHECKING:
    from typing_extensions import Self


class Stream:
    """What :meth:`relustat.Watch.stream` returns: a context manager, or to be closed."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        take: Callable[[], Report | None],
        *,
        every: int,
        seconds: float,
    ) -> None:
        if not is_integer(every) or every < 1:
            raise ValueError(f"stream: every must be an integer of at least 1, got {every!r}")
        check_seconds("stream", "seconds", seconds)
        kinds: dict[str, type[JsonLines | ParquetParts]]
        kinds = {".jsonl": JsonLines, ".parquet": ParquetParts}
        suffix = Path(path).suffix.lower()
        self._name = printable(os.fspath(path))
        if suffix not in kinds:
            raise ValueError(f"stream: path must end in .jsonl or .parquet, got {self._name}")
        self._take, self._every = take, every
        self._file = kinds[suffix](path)
        self._last: list[dict[str, Any]] = []
        self._has_failed = False
        self._process = os.getpid()
        self._ended = threading.Event()
        self._lock = fork_safe_lock()
        self.is_open = True
        self._thread = threading.Thread(target=repeat, args=(self._work, seconds, self._ended))
        self._thread.daemon = True
        self._thread.start()
        atexit.register(self.close)

    def _work(self) -> bool:
        is_alive = self._record(self._every)
        if not is_alive:
            self._finish()
        return is_alive

    def _record(self, least: int) -> bool:
        """Writes a record if there is something new. False: the watch is lost."""
        try:
            report = self._take()
            if report is None:
                return False
            self._write(rows_of(report), least)
        except Exception as error:
            # Hours of training are worth more than a line.
            if not self._has_failed:
                self._has_failed = True
                with contextlib.suppress(Warning):  # which may be an error, by -W error
                    warnings.warn(
                        f"stream: {self._name} could not be written, and the model runs on. "
                        f"{type(error).__name__}: {error}",
                        stacklevel=2,
                    )
        return True

    def _write(self, rows: list[dict[str, Any]], least: int) -> None:
        before = {row["call_site"]: row["calls"] for row in self._last}
        new = max((row["calls"] - before.get(row["call_site"], 0) for row in rows), default=0)
        # Without new calls, other numbers are those after a reset.
        if not rows or rows == self._last or 0 < new < least:
            return
        self._file.append(record_of(rows, self._file.records))
        self._file.records += 1
        self._last = rows

    def close(self) -> None:
        """Writes the last record. Closing twice does nothing."""
        if os.getpid() != self._process:
            return
        self._ended.set()
        # The collector of garbage may close it in its own thread.
        if threading.current_thread() is not self._thread:
            # An interrupt here leaves it open: closing it again goes on.
            self._thread.join()
        with self._lock:
            if self.is_open:
                self.is_open = False  # for a signal handler that closes it, too
                try:
                    self._record(1)
                finally:
                    self._finish()

    def _finish(self) -> None:
        self.is_open = False
        self._file.close()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
