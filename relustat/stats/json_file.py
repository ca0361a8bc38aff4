"""Files of counts as JSON: those whose names end in ``.json``."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relustat._files import replacing
from relustat._printable import printable


def is_named(path: str | os.PathLike[str]) -> bool:
    """Whether a name asks for JSON."""
    return Path(path).suffix.lower() == ".json"


def is_json(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as JSON. Older versions wrote archives under such names, too."""
    return is_named(path) and not zipfile.is_zipfile(path)


def save(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Writes plain numbers, lists and strings, whole or not at all."""
    content = json.dumps(state, allow_nan=False).encode()
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], kind: str) -> Iterator[Any]:
    """What :func:`save` wrote.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no JSON, or a ValueError is raised of what it holds. It names the file.
    """
    content = Path(path).read_bytes()
    try:
        yield json.loads(content)
    except (ValueError, RecursionError) as error:
        name = printable(os.fspath(path))
        raise ValueError(f"load: {name} must be a relustat {kind} file ({error})") from error
