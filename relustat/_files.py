"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file that replaces ``path`` when it is complete, and is removed if it is not."""
    target = Path(os.path.realpath(path))  # a link stays one
    draft = target.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        try:
            file = draft.open("xb")
        except OSError as error:
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        with file:
            yield file
        try:
            draft.replace(target)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
