import re

import pytest

from relustat._patterns import NameChoice

NAMES = ["layer1.0.relu", "layer1.1.relu", "layer2.0.relu", "head.relu"]


@pytest.mark.parametrize(
    ("only", "skip", "chosen"),
    [
        (None, None, [0, 1, 2, 3]),
        ("layer1.*", None, [0, 1]),
        (None, "*.relu", []),
        (["layer?.0.relu", "head.*"], None, [0, 2, 3]),
        (re.compile(r"\.0\."), None, [0, 2]),
        (re.compile("layer"), [re.compile("^layer2"), "*.1.*"], [0]),
        ("LAYER1.*", None, []),
        ([], None, []),
    ],
)
def test_names_are_chosen(only, skip, chosen):
    choice = NameChoice.of("watch", only, skip)
    assert [name for name in NAMES if choice.takes(name)] == [NAMES[index] for index in chosen]


def test_patterns_that_fit_nothing_are_named():
    choice = NameChoice.of("watch", ["layer*", "block*"], re.compile("^x"))
    assert choice.unfitting(NAMES) == ["only: 'block*'", "skip: re.compile('^x')"]
    assert choice.to_dict() == {"only": ["'block*'", "'layer*'"], "skip": ["re.compile('^x')"]}
    ignoring = NameChoice.of("watch", re.compile("^x", re.IGNORECASE), None)
    assert ignoring.to_dict()["only"] == ["re.compile('^x', re.IGNORECASE)"]
    assert NameChoice().to_dict() == {"only": None, "skip": None}


@pytest.mark.parametrize("wrong", [3, [3], ["a", None], b"a", re.compile(b"a")])
def test_what_is_no_pattern_is_refused(wrong):
    with pytest.raises(
        TypeError, match="watch: skip must be a glob, a compiled regular expression"
    ):
        NameChoice.of("watch", None, wrong)
