"""What a report warns of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relustat._messages import many, some
from relustat._printable import printable

from .dead_units import died, has_several_samples, only_inactive
from .row import Row

# If a larger share of values lies outside the bins, quantiles and pictures mislead.
_MUCH_OUTSIDE = 0.01
# A unit that is silent in most calls.
_HIGH_DEATH_RATE = 0.5

_NOT_COUNTED = ": not counted, "
_NEVER_CALLED = ": never called"
_CHOICES = ("'relu'", "'relu-like'", "'all'")
_LEFT_OUT = ", not counted: left out by only or skip"
_OTHER = "other activation"
_NOT_CHOSEN = ", not counted: try activations="


def not_counted(name: str, reason: str) -> str:
    """The warning of a ReLU that was called and not counted."""
    return f"{name}{_NOT_COUNTED}{reason}"


def never_called(name: str) -> str:
    """The warning of a ReLU that is in the model and was not called."""
    return f"{name}{_NEVER_CALLED}"


def other_activation(count: int, name: str, choice: str) -> str:
    """The warning of an activation that is not counted, and which choice would count it."""
    return f"{count} {name}{_NOT_CHOSEN}{choice!r}"


def left_out(names: Sequence[str]) -> str:
    """The warning of call sites that the user did not choose."""
    return f"{many(len(names), 'call site')}{_LEFT_OUT} ({some(names)})"


class Finding(NamedTuple):
    """A warning.

    Attributes:
        kind: "dead", "died", "death rate", "saturated", "nan", "outside the bins", "not counted",
            "left out", "other activation", "never called", "nothing" or "other".
        call_site: where; empty if it is of the whole model.
        text: what was found.
    """

    kind: str
    call_site: str
    text: str

    def __str__(self) -> str:
        return printable(f"{self.call_site}: {self.text}" if self.call_site else self.text)

    @classmethod
    def given(cls, warning: str) -> Finding:
        """A warning of whoever counted, such as a watch."""
        kinds = {
            "left out": _LEFT_OUT in warning,
            _OTHER: _NOT_CHOSEN in warning,
            "not counted": _NOT_COUNTED in warning,
            "never called": warning.endswith(_NEVER_CALLED),
        }
        return cls(next((kind for kind, fits in kinds.items() if fits), "other"), "", warning)


def findings(rows: Sequence[Row], given: Sequence[str]) -> list[Finding]:
    """All warnings: those of the counts first, then those that were given.

    A death rate over one half is one, too, unless a unit has a single element in each call: then it
    is the share of zeros.
    """
    found = [Finding.given(warning) for warning in given]
    if not rows and not any(each.kind in {"not counted", "left out"} for each in found):
        others = [each.text.partition(_NOT_CHOSEN) for each in found if each.kind == _OTHER]
        if not others:
            return [Finding("nothing", "", "no ReLU was seen"), *found]
        what = ", ".join(other for other, _, _ in others)
        choice = max((choice for _, _, choice in others), key=_CHOICES.index)
        said = Finding("nothing", "", f"no ReLU was called: {what}; try activations={choice}")
        return [said, *(each for each in found if each.kind != _OTHER)]
    of_units = [each for row in rows for each in _of_units(row)]
    return [*of_units, *(each for row in rows for each in _outside_the_bins(row)), *found]


def _of_units(row: Row) -> Iterator[Finding]:
    name, stats = row.call_site, row.stats
    if row.dead:
        were = only_inactive(stats)
        text = f"{row.dead} of {row.units} units {were} in {many(row.calls, 'call')}"
        yield Finding("dead", name, text)
    yield from (Finding("died", name, text) for text in died(stats))
    if row.death_rate > _HIGH_DEATH_RATE and has_several_samples(stats):
        rate = f"{row.death_rate:.1%} of the calls (death rate)"
        was = only_inactive(stats).replace("were", "was")
        text = f"on average, a unit {was} in {rate}"
        yield Finding("death rate", name, text)
    saturated = sum(len(stats.of_width(width).saturated_units) for width in stats.widths)
    if saturated:
        text = (
            f"all inputs of {saturated} of {row.units} units were saturated "
            f"(input >= {stats.activation.upper:g})"
        )
        yield Finding("saturated", name, text)
    if row.nans:
        yield Finding("nan", name, f"{row.nans:,} of {row.elements:,} inputs were NaN")


def _outside_the_bins(row: Row) -> Iterator[Finding]:
    if row.stats.bins is None:
        return
    histogram, edges = row.stats.histogram, row.stats.bins.edges
    outside = (histogram.underflow + histogram.overflow) / max(row.elements, 1)
    if outside > _MUCH_OUTSIDE:
        text = (
            f"{outside:.1%} of the inputs lay outside the bins, "
            f"which reach from {edges[0]:g} to {edges[-1]:g}"
        )
        yield Finding("outside the bins", row.call_site, text)
