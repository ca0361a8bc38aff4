"""Names as text that only shows: nothing in it acts on a terminal, a page or a picture."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable

# The blocks of pictures, for an output that has ASCII or Latin-1 alone.
_PLAIN_BLOCKS = str.maketrans("▁▂▃▄▅▆▇█", ".:-=+*#@")


def printable(text: str) -> str:
    r"""Text with escapes such as ``\x1b`` for what Python's ``repr`` escapes.

    These are control characters, ends of lines, marks of direction, unpaired surrogates and all
    else that is not seen.

    Example:
        >>> from relustat._printable import printable
        >>> print(printable("fc\x1b[31m.relu\n"))
        fc\x1b[31m.relu\n
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def printed(text: str) -> str:
    """The same, in characters that the standard output can encode."""
    shown = printable(text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        shown.encode(encoding)
    except UnicodeEncodeError:
        plain = shown.translate(_PLAIN_BLOCKS)
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return shown


def printed_lines(lines: Iterable[str]) -> str:
    """Lines to print, none of which breaks."""
    return "\n".join(map(printed, lines))


def columns_of(text: str) -> int:
    """The number of a terminal's columns that a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of_character, text))


def _columns_of_character(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):  # marks on the one before
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
