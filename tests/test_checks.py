"""What counts as an integer, wherever an argument must be one."""

import numpy as np
import pytest
import torch

import relustat
from relustat._checks import as_integer, is_integer

INTEGERS = [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3), torch.tensor(3).short()]
OTHERS = [True, np.True_, torch.tensor(True), 3.0, np.float64(3), torch.tensor(3.0), "3", None, [3]]


@pytest.mark.parametrize("value", INTEGERS, ids=repr)
def test_integers(value):
    assert is_integer(value)
    number = as_integer("f: n", value)
    assert type(number) is int
    assert number == 3
    assert len(relustat.LinearBins(0, 1, value)) == 3
    assert relustat.Counters(every=value).every == 3


@pytest.mark.parametrize("value", OTHERS, ids=repr)
def test_others(value):
    assert not is_integer(value)
    with pytest.raises(ValueError, match=r"^f: n must be an integer, got "):
        as_integer("f: n", value)
    with pytest.raises(TypeError, match=r"^f: n must be an integer, got "):
        as_integer("f: n", value, TypeError)
    with pytest.raises(ValueError, match=r"^LinearBins: n must be an integer, got "):
        relustat.LinearBins(0, 1, value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, np.uint64(2**63)])
def test_what_no_int64_holds(value):
    with pytest.raises(ValueError, match=r"^f: n must be an int64, got "):
        as_integer("f: n", value)
    assert as_integer("f: n", -(2**63)) == -(2**63)
