"""Files of reports, as arguments of a command."""

from __future__ import annotations

import json
from pathlib import Path

from relustat.report.report import Report


def read_report(path: Path) -> Report:
    """The report in a ``.npz`` file or in a JSON file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no file of a report.
    """
    if path.suffix.lower() != ".json":
        return Report.load(path)
    try:
        return Report.from_dict(json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be a file that relustat wrote ({error})") from error
