"""A stream as JSON Lines: one object a line, appended."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from relustat._printable import printable

from .own_file import OwnFile

_CHUNK = 2**16


class JsonLines:
    """A file that records are appended to. One process at a time writes to it.

    A process that was killed while it wrote has left a last line without an end. That line is cut
    off.

    Args:
        path: the file, which is made if there is none.

    Raises:
        OSError: if it cannot be opened.
        ValueError: if it holds something else than a stream, or another stream writes to it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._name = printable(os.fspath(path))
        self._own = OwnFile(self._name, os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666))
        try:
            if not stat.S_ISREG(os.fstat(self._own.file).st_mode):
                got = "a device or a pipe"
                raise ValueError(f"stream: {self._name} must be a plain file, got {got}")
            self.records = self._repaired()
        except BaseException:
            self.close()
            raise

    def _repaired(self) -> int:
        """Cuts off what is behind the last line, and returns the number of the next record."""
        file = self._own.file
        size = os.fstat(file).st_size
        end = self._after_line(size)
        # A line that is cut is nothing but the beginning of one.
        beginning = b'{"record": '
        cut = os.pread(file, len(beginning), end)
        number: int | None = -1
        if end:
            begin = self._after_line(end - 1)
            number = self._number_of(os.pread(file, end - begin, begin))
        if number is None or not beginning.startswith(cut[: len(beginning)]):
            raise ValueError(f"stream: {self._name} must be a stream, got a file of another kind")
        if end < size:
            os.ftruncate(file, end)
        return number + 1

    def _after_line(self, end: int) -> int:
        """Where the line begins in which a position lies."""
        while end:
            begin = max(end - _CHUNK, 0)
            found = os.pread(self._own.file, end - begin, begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
        return 0

    @staticmethod
    def _number_of(line: bytes) -> int | None:
        row = _row(line)
        return None if row is None else int(row["record"])

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes the rows of a record, all or none.

        Raises:
            OSError: if they cannot be written.
        """
        content = b"".join(json.dumps(row, allow_nan=False).encode() + b"\n" for row in rows)
        file = self._own.file
        before = os.fstat(file).st_size
        try:
            while content:
                content = content[os.write(file, content) :]
        except BaseException:
            os.ftruncate(file, before)
            raise

    def close(self) -> None:
        self._own.close()


def _row(line: bytes) -> dict[str, Any] | None:
    """The object in a line of a stream, or None."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = isinstance(row, dict) and isinstance(row.get("call_site"), str)
    numbers = [row.get(name) for name in ("record", "call_sites")] if is_row else [None]
    return row if all(type(number) is int for number in numbers) else None


def read_records(path: str | os.PathLike[str]) -> Iterator[list[dict[str, Any]]]:
    """The records of a stream, the oldest first. The file may grow meanwhile.

    A record that a killed process has not finished is left out.

    Args:
        path: a file that :meth:`relustat.Watch.stream` writes, or wrote.

    Returns:
        The rows of one record after the other: a dict for each call site.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no such file.

    Example:
        >>> import pathlib, tempfile, torch, relustat
        >>> from relustat.report import read_records
        >>> model = torch.nn.Sequential(torch.nn.ReLU())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "run.jsonl"
        ...     with relustat.watch(model) as watch, watch.stream(path):
        ...         _ = model(torch.tensor([[-1.0, 2.0]]))
        ...     [[row["dead"] for row in record] for record in read_records(path)]
        [[1]]
    """
    rows: list[dict[str, Any]] = []
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # it is cut, or is being written
            row = _row(line)
            if row is None:
                name = printable(os.fspath(path))
                raise ValueError(f"load: {name} must be a stream, got another line {number}")
            if rows and rows[0]["record"] != row["record"]:
                rows = []
            rows.append(row)
            if len(rows) == row["call_sites"]:
                yield rows
                rows = []
