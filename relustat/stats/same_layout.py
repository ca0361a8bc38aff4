"""Whether counts of several holders can be added by call site."""

from __future__ import annotations

from collections.abc import Mapping

from relustat._messages import named, some

from .bins import Bins


def described_shard(shard: tuple[int, int] | None) -> str:
    return "all units" if shard is None else f"shard {shard[0]} of {shard[1]} of the units"


def check_alike(caller: str, kind: str, holders: Mapping[str, Mapping[str, Bins | None]]) -> None:
    """Checks that counts can be added by call site.

    Args:
        caller: the function that adds them.
        kind: "ranks" or "files".
        holders: the bins of the call sites of each rank or file, by its name in messages. A holder
            without call sites has no counts and agrees with all others.

    Raises:
        ValueError: if two holders have different call sites, or different bins at one of them.

    Example:
        >>> import relustat
        >>> from relustat.stats.same_layout import check_alike
        >>> bins = {"fc.relu": relustat.LogBins()}
        >>> check_alike("merge", "files", {"a.npz": bins, "b.npz": bins})
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
