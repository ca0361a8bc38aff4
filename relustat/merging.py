"""What counts must have in common to be added by call site; files of counts added up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import storage
from ._messages import named, some
from .bins import Bins
from .report import Report
from .stats import ReLUStats


def check_alike(caller: str, kind: str, holders: Mapping[str, Mapping[str, Bins | None]]) -> None:
    """Checks that counts can be added by call site.

    Args:
        caller: the function that adds them.
        kind: "ranks" or "files".
        holders: by rank or file, as messages name it, the bins of its call sites. One without call
            sites holds no counts and differs from none.

    Raises:
        ValueError: if two of them have not the same call sites, or unlike bins at one of them.

    Example:
        >>> import relustat
        >>> from relustat import merging
        >>> bins = {"fc.relu": relustat.LogBins()}
        >>> merging.check_alike("merge", "files", {"a.npz": bins, "b.npz": bins})
    """
    filled = {holder: bins for holder, bins in holders.items() if bins}
    sites = dict.fromkeys(site for bins in filled.values() for site in bins)
    missing: dict[tuple[str, ...], list[str]] = {}
    for site in sites:
        lacking = tuple(holder for holder, bins in filled.items() if site not in bins)
        if lacking:
            missing.setdefault(lacking, []).append(named(site))
    if missing:
        found = [
            f"{some(names)} (in {some(holder for holder in filled if holder not in lacking)}, "
            f"missing in {some(lacking)})"
            for lacking, names in missing.items()
        ]
        raise ValueError(
            f"{caller}: all {kind} that hold counts must have the same call sites, "
            f"got {some(found, '; ')}"
        )
    for site in sites:
        by_bins: dict[Bins | None, list[str]] = {}
        for holder, bins in filled.items():
            by_bins.setdefault(bins[site], []).append(holder)
        if len(by_bins) > 1:
            found = [f"{each} (in {some(holding)})" for each, holding in by_bins.items()]
            raise ValueError(
                f"{caller}: a call site must have equal bins in all {kind}, "
                f"got for {named(site)}: {some(found, '; ')}"
            )


def merge_files(paths: Sequence[str | os.PathLike[str]]) -> Report:
    """The sum, by call site, of files that ``Report.save`` or ``ReLUStats.save`` wrote.

    Args:
        paths: each file once. Those without call sites add nothing.

    Returns:
        A report; of files of ``ReLUStats.save``, ``save`` writes such a file again.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if one is no file of statistics, is given twice, or has other call sites or
            bins than the others.

    Example:
        >>> import pathlib, tempfile, torch, relustat
        >>> _, stats = relustat.functional.relu_stats(torch.tensor([[-1.0, 2.0]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [pathlib.Path(folder) / name for name in ("rank0.npz", "rank1.npz")]
        ...     for path in paths:
        ...         relustat.Report({"fc.relu": stats}).save(path)
        ...     relustat.merging.merge_files(paths).stats["fc.relu"].zeros
        2
    """
    files: dict[Path, dict[str, ReLUStats]] = {}
    for path in map(Path, paths):
        if any(path.samefile(other) for other in files):
            raise ValueError(f"merge: each file must be given once, got {path} twice")
        states = storage.load(path)
        try:
            files[path] = {site: ReLUStats.from_dict(state) for site, state in states.items()}
        except ValueError as error:
            raise ValueError(f"merge: {path} must hold what relustat wrote ({error})") from error
    check_alike(
        "merge",
        "files",
        {
            str(path): {site: stats.bins for site, stats in sites.items()}
            for path, sites in files.items()
        },
    )
    merged: dict[str, ReLUStats] = {}
    for sites in files.values():
        for site, stats in sites.items():
            merged[site] = merged[site] + stats if site in merged else stats
    return Report(merged)
