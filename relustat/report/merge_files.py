"""The sum of several files of counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from relustat._printable import printable
from relustat.stats.relu_stats import ReLUStats
from relustat.stats.same_layout import check_alike

from . import saved
from .call_site import CallSite
from .findings import never_called
from .report import Report


def merge_files(paths: Sequence[str | os.PathLike[str]]) -> Report:
    """The sum by call site of files that ``Report.save`` or ``ReLUStats.save`` wrote.

    Args:
        paths: each file once, ``.npz`` or ``.json``. Files without call sites add nothing. Groups
            are not added up.

    Returns:
        A report, with the warnings of all. If the files are those of ``ReLUStats.save``, ``save``
        writes such a file again.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file is not one of statistics, is given twice, or has other call sites or
            bins than the others.
        OverflowError: if a sum is no int64.

    Example:
        >>> import pathlib, tempfile, torch, relustat
        >>> _, stats = relustat.functional.relu_stats(torch.tensor([[-1.0, 2.0]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [pathlib.Path(folder) / name for name in ("rank0.npz", "rank1.npz")]
        ...     for path in paths:
        ...         relustat.Report({"fc.relu": stats}).save(path)
        ...     relustat.report.merge_files(paths).stats["fc.relu"].zeros
        2
    """
    files: dict[Path, dict[str, ReLUStats]] = {}
    places: dict[str, CallSite] = {}
    warnings: dict[str, None] = {}
    for path in map(Path, paths):
        if any(path.samefile(other) for other in files):
            raise ValueError(
                f"merge: each file must be given once, got {printable(str(path))} twice"
            )
        read = saved.read(path)
        files[path] = read.stats
        warnings |= dict.fromkeys(read.given)
        for site, place in read.call_sites.items():
            places[site] = places[site].merged(place) if site in places else place
    check_alike(
        "merge",
        "files",
        {
            str(path): {site: stats.layout for site, stats in sites.items()}
            for path, sites in files.items()
        },
    )
    merged: dict[str, ReLUStats] = {}
    for sites in files.values():
        for site, stats in sites.items():
            merged[site] = merged[site] + stats if site in merged else stats
    # What one file's data did not reach, another's may have.
    called = set(map(never_called, merged))
    return Report(merged, [each for each in warnings if each not in called], places)
