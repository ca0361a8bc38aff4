"""A stream as Parquet: a folder with a file for each record, which readers take for one table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relustat._files import replacing
from relustat._optional import import_optional

from .record import TYPES


class ParquetParts:
    """A folder that records are added to, each as a file that is written whole or not at all.

    Args:
        path: the folder, which is made if there is none.

    Raises:
        ImportError: if pyarrow is missing.
        OSError: if it cannot be made.
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
        self._folder = Path(path)
        self._folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(each.stem) for each in self._folder.glob("*.parquet") if each.stem.isdigit()]
        self.records = max(numbers, default=-1) + 1

    def append(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes the rows of a record, all or none.

        Raises:
            OSError: if they cannot be written.
        """
        if not rows:
            return
        table = self._arrow.Table.from_pylist(list(rows), self._schema)
        with replacing(self._folder / f"{rows[0]['record']:08}.parquet") as file:
            self._parquet.write_table(table, file)

    def close(self) -> None:
        pass
