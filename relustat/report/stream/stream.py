"""A thread that writes a report to a file, again and again."""

from __future__ import annotations

import atexit
import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from relustat._checks import is_integer
from relustat._printable import printable
from relustat.report.report import Report

from .json_lines import JsonLines
from .parquet_parts import ParquetParts
from .record import rows_of

if TYPE_CHECKING:
    from typing_extensions import Self

# A record may take a tenth of the time, however long it lasts.
_PAUSES_PER_RECORD = 9.0


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
        if not isinstance(seconds, (int, float)) or not 0.1 <= seconds < threading.TIMEOUT_MAX:
            raise ValueError(f"stream: seconds must be at least 0.1, got {seconds!r}")
        kinds: dict[str, type[JsonLines | ParquetParts]]
        kinds = {".jsonl": JsonLines, ".parquet": ParquetParts}
        suffix = Path(path).suffix.lower()
        if suffix not in kinds:
            raise ValueError(
                f"stream: path must end in .jsonl or .parquet, got {printable(os.fspath(path))}"
            )
        self._name = printable(os.fspath(path))
        self._take, self._every, self._seconds = take, every, seconds
        self._file = kinds[suffix](path)
        self._calls = 0
        self._has_failed = False
        self._process = os.getpid()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        pause = self._seconds
        while not self._ended.wait(pause):
            began = time.monotonic()
            if not self._write(self._every):
                return
            pause = max(self._seconds, _PAUSES_PER_RECORD * (time.monotonic() - began))

    def _write(self, least: int) -> bool:
        """Writes a record if there are so many new calls. False: nothing is counted any more."""
        try:
            report = self._take()
            if report is None:
                return False
            calls = max((row.calls for row in report.rows), default=0)
            before = self._calls if self._calls <= calls else 0  # less after a reset
            if calls - before >= least:
                self._file.append(rows_of(report, self._file.records))
                self._file.records += 1
                self._calls = calls
        except Exception as error:
            # Hours of training are worth more than a line.
            if not self._has_failed:
                self._has_failed = True
                warnings.warn(
                    f"stream: {self._name} could not be written, and the model runs on. "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )
        return True

    def close(self) -> None:
        """Writes the last record. Closing twice does nothing."""
        if self._ended.is_set() or os.getpid() != self._process:
            return
        self._ended.set()
        try:
            self._thread.join()
            self._write(1)
        finally:
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
