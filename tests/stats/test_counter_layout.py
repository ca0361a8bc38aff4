"""The layout in Python against the one in C++."""

import re

import pytest
import torch
from repository import ROOT

from relustat import Counters, LinearBins
from relustat.stats import counter_layout as layout
from relustat.stats.counter_layout import CounterLayout

HEADER = ROOT / "csrc/relu/counters.h"


def test_positions_are_those_of_the_header():
    constants = dict(re.findall(r"int64_t k(\w+) = (\d+);", HEADER.read_text()))
    assert {name: int(number) for name, number in constants.items()} == {
        "Every": layout.EVERY,
        "Ticks": layout.TICKS,
        "Calls": layout.CALLS,
        "Elements": layout.ELEMENTS,
        "Blocks": layout.BLOCKS,
        "ZeroBlocks": layout.ZERO_BLOCKS,
        "Header": CounterLayout(1, 1, 0).zeros.start,
    }


@pytest.mark.parametrize("unit_histograms", [False, True])
def test_parts_cover_all_words(unit_histograms):
    counters = Counters(LinearBins(-1, 1, 4), unit_histograms=unit_histograms)
    words = counters.words_for(3, torch.device("cpu"))
    mine = CounterLayout(3, 3 if unit_histograms else 1, 4)
    assert len(words) == mine.size
    by_unit = [mine.zeros, mine.dead_calls, mine.since_fired]
    assert by_unit == [slice(6, 9), slice(9, 12), slice(12, 15)]
    assert words[mine.histograms].reshape(mine.rows, mine.slots).shape == (mine.rows, 7)
    assert CounterLayout(3, 1, 0).size == 6 + 3 + 3 + 3 + 1
