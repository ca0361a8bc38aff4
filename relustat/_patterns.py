"""Choices of call sites by patterns of their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

Pattern = str | re.Pattern[str]
"""A glob, of which ``*`` also stands for dots; or a compiled expression, which is searched for."""

Patterns = Pattern | Iterable[Pattern]


def as_patterns(what: str, given: Patterns) -> tuple[Pattern, ...]:
    """One pattern or several, as a tuple.

    Args:
        what: the function and its argument, as the message names them: ``"watch: only"``.
        given: what the user gave.

    Raises:
        TypeError: if it is neither.
    """
    several = [given] if isinstance(given, (str, re.Pattern)) else given
    patterns = tuple(several) if isinstance(several, Iterable) else (several,)
    for pattern in patterns:
        text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        if not isinstance(text, str):
            raise TypeError(
                f"{what} must be a glob, a compiled regular expression, or several of them, "
                f"got {given!r}"
            )
    return patterns


def fits(pattern: Pattern, name: str) -> bool:
    """Whether a name fits a pattern."""
    if isinstance(pattern, str):
        return fnmatchcase(name, pattern)
    return pattern.search(name) is not None


def described(pattern: Pattern) -> str:
    """A pattern as Python writes it."""
    if isinstance(pattern, str):
        return repr(pattern)
    flags = pattern.flags & ~re.UNICODE  # which all have
    return f"re.compile({pattern.pattern!r}{f', {flags!s}' if flags else ''})"


class NameChoice(NamedTuple):
    """Which names are chosen.

    Attributes:
        only: a name must fit one of these; None: no such rule.
        skip: a name must fit none of these.
    """

    only: tuple[Pattern, ...] | None = None
    skip: tuple[Pattern, ...] = ()

    @classmethod
    def of(cls, caller: str, only: Patterns | None, skip: Patterns | None) -> NameChoice:
        """The choice of a user.

        Raises:
            TypeError: if a pattern is none.
        """
        return cls(
            None if only is None else as_patterns(f"{caller}: only", only),
            () if skip is None else as_patterns(f"{caller}: skip", skip),
        )

    def takes(self, name: str) -> bool:
        """Whether the name is chosen."""
        is_among = self.only is None or any(fits(pattern, name) for pattern in self.only)
        return is_among and not any(fits(pattern, name) for pattern in self.skip)

    def unfitting(self, names: Collection[str]) -> list[str]:
        """The patterns that fit none of the names, with the argument that holds them."""
        given = [("only", pattern) for pattern in self.only or ()]
        given += [("skip", pattern) for pattern in self.skip]
        return [
            f"{argument}: {described(pattern)}"
            for argument, pattern in given
            if not any(fits(pattern, name) for name in names)
        ]

    def to_dict(self) -> dict[str, list[str] | None]:
        """The patterns as texts, in any order alike; None where none were given."""
        return {
            "only": None if self.only is None else sorted(map(described, self.only)),
            "skip": sorted(map(described, self.skip)) or None,
        }
