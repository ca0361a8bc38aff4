"""Lists the sentences of Markdown files that have more than 25 words.

    python tools/plain_english.py README.md docs/index.md

Code blocks, tables, HTML comments, reference definitions and the targets of links are skipped. A
heading, a list item and a paragraph end a sentence. A code span is one word. The exit status is 1
if there are any.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MOST_WORDS = 25
ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "cf.", "vs.", "al.", "Fig.", "No.", "approx.", "resp.")

FENCE = re.compile(r" *(```|~~~)")
# What begins a block of its own: a list item, a heading, a quotation, an admonition.
BLOCK = re.compile(r" *(?:[-*+]|\d+[.)]|#+|>|!!!|\?\?\?)(?:\s+|$)")
SKIPPED = re.compile(r" *(?:\||\[[^\]]+\]: |:::|---)")
INITIAL = re.compile(r"[A-Z]\.")
# A full stop, or a mark like it, behind which a new sentence may begin.
END = re.compile(r"(?<=[.!?])[)\"'*_]*(?=\s)")


class Sentence(NamedTuple):
    line: int
    text: str

    @property
    def words(self) -> int:
        """The number of words; a sign alone, such as a dash or +, is none."""
        return len([word for word in self.text.split() if re.search(r"\w", word)])


def sentences(markdown: str) -> Iterator[Sentence]:
    """All sentences of a page, with the line in which the paragraph of each begins."""
    for line, text in blocks(without_comments(markdown)):
        yield from (Sentence(line, sentence) for sentence in split(plain(text)))


def without_comments(markdown: str) -> str:
    """The page with empty lines instead of comments, so that lines keep their numbers."""
    return re.sub(
        r"<!--.*?-->", lambda match: "\n" * match[0].count("\n"), markdown, flags=re.DOTALL
    )


def blocks(markdown: str) -> Iterator[tuple[int, str]]:
    """Paragraphs, headings and list items: the number of the first line, and the text."""
    first, held, fence = 0, [], ""
    for number, line in enumerate([*markdown.splitlines(), ""], 1):
        mark = FENCE.match(line)
        if fence or mark:
            fence = ("" if mark and mark[1] == fence else fence) if fence else mark[1]
            line = ""
        begins = BLOCK.match(line)
        if held and (not line.strip() or begins or SKIPPED.match(line)):
            yield first, " ".join(held)
            held = []
        if not line.strip() or SKIPPED.match(line):
            continue
        if not held:
            first = number
        held.append(line[begins.end() :] if begins else line.strip())
        if line.startswith("#"):
            yield first, held.pop()


def plain(text: str) -> str:
    """The text as it is read: code is one word, and a link is what it says."""
    text = re.sub(r"``.+?``|`[^`]+`", "code", text)
    text = re.sub(r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", text)
    return re.sub(r"<[^>]+>|\*\*|\{[^}]*\}", "", text)


def split(text: str) -> list[str]:
    """The sentences of a paragraph."""
    found, begin = [], 0
    for end in END.finditer(text):
        part = text[begin : end.end()]
        *before, last = part.split()
        last = last.strip("()\"'*_")
        # "6 M." is a number.
        is_initial = INITIAL.fullmatch(last) and not (before and before[-1][-1].isdigit())
        goes_on = last.endswith("...") and text[end.end() :].lstrip()[:1].islower()
        if last in ABBREVIATIONS or is_initial or goes_on:
            continue
        found.append(part.strip())
        begin = end.end()
    return [sentence for sentence in [*found, text[begin:].strip()] if sentence]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    long = 0
    for page in parser.parse_args().pages:
        for sentence in sentences(page.read_text()):
            if sentence.words > MOST_WORDS:
                print(f"{page}:{sentence.line}: {sentence.words} words: {sentence.text}")
                long += 1
    return 1 if long else 0


if __name__ == "__main__":
    raise SystemExit(main())
