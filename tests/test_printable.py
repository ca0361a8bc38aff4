"""Names as text that only shows."""

import io
import sys

import pytest

from relustat._messages import align, named, some
from relustat._printable import columns_of, printable, printed


def test_what_acts_is_escaped():
    for text, shown in (
        ("layer1.0.relu", "layer1.0.relu"),
        ("schön.層.Ж.👍", "schön.層.Ж.👍"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("\u202eevil\u2066\u200f\u061c", r"\u202eevil\u2066\u200f\u061c"),
        ("\ud800\udcff", r"\ud800\udcff"),
        ("\U000e0041\ufeff\u200b", r"\U000e0041\ufeff\u200b"),
    ):
        assert printable(text) == shown
        assert printable(shown) == shown


def test_all_characters():
    text = "".join(map(chr, range(0x110000))).replace("\\", "")
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode("ascii", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "é€ ▁▂▃▄▅▆▇█"),
        ("latin-1", r"é\u20ac .:-=+*#@"),
        ("ascii", r"\xe9\u20ac .:-=+*#@"),
    ],
)
def test_what_the_output_can_encode(monkeypatch, encoding, shown):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert printed("é€ ▁▂▃▄▅▆▇█") == shown


def test_no_output_at_all(monkeypatch):
    for output in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stdout", output)
        assert printed("é ▁\n") == "é ▁\\n"


def test_columns():
    for text, columns in (("abc", 3), ("層", 2), ("e\u0301", 1), ("▁█", 2), ("", 0)):
        assert columns_of(text) == columns


def test_a_table_stays_aligned():
    lines = align([["a", "1", "x"], ["層\n", "22", "y"], ["e\u0301", "333", "z"]])
    assert lines == ["a       1  x", "層\\n   22  y", "e\u0301     333  z"]
    assert {columns_of(line) for line in lines} == {12}


def test_lists_of_names():
    assert named("a\n") == r"a\n"
    assert named("") == "the only ReLU"
    assert some(["a\x1b", "b"]) == r"a\x1b, b"
