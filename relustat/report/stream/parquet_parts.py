"""A stream as Parquet: a folder with a file for each record, which readers take for one table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relustat._files import replacing
from relustat._optional import import_optional
from relustat._printable import printable

from .own_file import OwnFile
from .record import TYPES


class ParquetParts:
    """A folder that records are added to, each as a file that is written whole or not at all.

    Args:
        path: the folder, which is made if there is none.

    Raises:
        ImportError: if pyarrow is missing.
        OSError: if it cannot be made.
        ValueError: if it holds other Parquet files, or another stream writes to it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._arrow = import_optional("pyarrow", "parquet", "a stream as Parquet")
        self._parquet = import_optional("pyarrow.parquet", "parquet", "a stream as Parquet")
        types = {"int": self._arrow.int64(), "float": self._arrow.float64()}
        texts = self._arrow.string()
        # Of numbers alone that are None, the type would be another one.
        self._schema = self._arrow.schema(
            [(name, types.get(kind, texts)) for name, kind in TYPES.items()]
        )
        # The program may go to another folder.
        self._folder = Path(os.path.abspath(path))
        self._folder.mkdir(parents=True, exist_ok=True)
        name = printable(os.fspath(path))
        self._own = OwnFile(name, os.open(self._folder, os.O_RDONLY))
        try:
            self.records = self._next_record(name)
        except BaseException:
            self.close()
            raise

    def _next_record(self, name: str) -> int:
        parts = sorted(self._folder.glob("*.parquet"), key=lambda part: (len(part.stem), part))
        others = [part for part in parts if not part.stem.isdecimal()]
        if not others and parts and self._parquet.read_schema(parts[-1]) != self._schema:
            others = [parts[-1]]
        if others:
            got = f"one with {printable(others[0].name)}"
            raise ValueError(f"stream: {name} must be a folder for this stream, got {got}")
        return int(parts[-1].stem) + 1 if parts else 0

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes the rows of a record, all or none.

        Raises:
            OSError: if they cannot be written.
        """
        # Arrow takes no unpaired surrogates.
        texts = [
            {key: printable(each) if isinstance(each, str) else each for key, each in row.items()}
            for row in rows
        ]
        table = self._arrow.Table.from_pylist(texts, self._schema)
        with replacing(self._folder / f"{rows[0]['record']:08}.parquet") as file:
            self._parquet.write_table(table, file)

    def close(self) -> None:
        self._own.close()
