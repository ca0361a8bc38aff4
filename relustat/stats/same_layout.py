"""Whether counts of several holders can be added by call site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from relustat._messages import named, some

from .activation import RELU, Activation
from .bins import Bins


class Layout(NamedTuple):
    """What counts must have in common to be added."""

    bins: Bins | None
    block: int | None
    activation: Activation = RELU

    def __str__(self) -> str:
        of_what = "" if self.activation == RELU else f" of {self.activation.described}"
        blocks = "" if self.block is None else f" with blocks of {self.block}"
        return f"{self.bins}{of_what}{blocks}"


def described_shard(shard: tuple[int, int] | None) -> str:
    return "all units" if shard is None else f"shard {shard[0]} of {shard[1]} of the units"


def check_alike(caller: str, kind: str, holders: Mapping[str, Mapping[str, Layout]]) -> None:
    """Checks that counts can be added by call site.

    Args:
        caller: the function that adds them.
        kind: "ranks" or "files".
        holders: the layouts of the call sites of each rank or file, by its name in messages. A
            holder without call sites has no counts and agrees with all others.

    Raises:
        ValueError: if two holders have different call sites, or different layouts at one of them.

    Example:
        >>> import relustat
        >>> from relustat.stats.same_layout import Layout, check_alike
        >>> layouts = {"fc.relu": Layout(relustat.LogBins(), None)}
        >>> check_alike("merge", "files", {"a.npz": layouts, "b.npz": layouts})
    """
    filled = {holder: layouts for holder, layouts in holders.items() if layouts}
    sites = dict.fromkeys(site for layouts in filled.values() for site in layouts)
    missing: dict[tuple[str, ...], list[str]] = {}
    for site in sites:
        lacking = tuple(holder for holder, layouts in filled.items() if site not in layouts)
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
        by_layout: dict[Layout, list[str]] = {}
        for holder, layouts in filled.items():
            by_layout.setdefault(layouts[site], []).append(holder)
        if len(by_layout) > 1:
            is_one = len({each.activation for each in by_layout}) == 1
            what = "equal bins" if is_one else "one activation"
            found = [f"{each} (in {some(holding)})" for each, holding in by_layout.items()]
            raise ValueError(
                f"{caller}: a call site must have {what} in all {kind}, "
                f"got for {named(site)}: {some(found, '; ')}"
            )
