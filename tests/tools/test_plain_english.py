"""tools/plain_english.py finds long sentences, and takes nothing else for one."""

import subprocess
import sys

import pytest
from plain_english import MOST_WORDS, sentences
from repository import ROOT


def texts(markdown):
    return [sentence.text for sentence in sentences(markdown)]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("One two. Three?\nFour!", ["One two.", "Three?", "Four!"]),
        ("It runs, e.g. here, cf. Smith et al. 2020. Next.", None),
        ("By J. Smith. Next.", ["By J. Smith.", "Next."]),
        ("It has 6 M. Next.", ["It has 6 M.", "Next."]),
        ("It takes 0.5 s. relustat asks.", ["It takes 0.5 s.", "relustat asks."]),
        ("(One.) *Two.* Three", ["(One.)", "*Two.*", "Three"]),
        ("And so on ... until it ends.", ["And so on ... until it ends."]),
        ("# A heading\nText", ["A heading", "Text"]),
        ("These:\n\n* one\n* two\n  goes on\n1. three", ["These:", "one", "two goes on", "three"]),
        ("> quoted\n\nplain", ["quoted", "plain"]),
        ("See [the `x.y` page](a/b.md#c). Use `a. b`.", ["See the code page.", "Use code."]),
        ("See [it][label].\n\n[label]: a.md", ["See it."]),
        ("![A picture](a.png)", ["A picture"]),
        ("| a | table. |\n|---|---|\nText", ["Text"]),
        ("Text\n```python\nx = 1. Not this.\n```\nMore", ["Text", "More"]),
        ("```text\n~~~\nin\n```\nout", ["out"]),
        ("Text <!-- hidden.\n\nhidden --> goes on", ["Text", "goes on"]),
        ("::: relustat.stats.Bins", []),
        ("**Bold.** Next", ["Bold.", "Next"]),
    ],
)
def test_sentences(markdown, expected):
    if expected is None:
        expected = ["It runs, e.g. here, cf. Smith et al. 2020.", "Next."]
    assert texts(markdown) == expected


def test_lines_and_words():
    first, second = sentences("<!-- a\nb -->\n\nOne - two + three.\n\n`a b c` and x")
    assert (first.line, first.words) == (4, 3)
    assert (second.line, second.words) == (6, 3)


@pytest.mark.parametrize("words", [MOST_WORDS, MOST_WORDS + 1])
def test_the_exit_status_says_whether_there_are_any(tmp_path, words):
    page = tmp_path / "page.md"
    page.write_text("Short.\n\n" + "word " * (words - 1) + "end.\n")
    result = subprocess.run(
        [sys.executable, ROOT / "tools/plain_english.py", page], capture_output=True, text=True
    )
    assert result.stderr == ""
    if words > MOST_WORDS:
        assert result.returncode == 1
        assert result.stdout.startswith(f"{page}:3: {words} words: word word")
    else:
        assert (result.returncode, result.stdout) == (0, "")
