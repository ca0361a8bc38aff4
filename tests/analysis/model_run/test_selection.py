import numpy as np
import pytest
import torch

from relustat.analysis.model_run.selection import check_samples, check_unit

OUTPUT = torch.zeros(4, 3, 2)


@pytest.mark.parametrize("unit", [None, 0, 2, np.int64(2), torch.tensor(1)])
def test_units_of_a_layer(unit):
    check_unit("op", "fc", OUTPUT, unit)
    check_samples("op", "fc", OUTPUT, 4)


@pytest.mark.parametrize("unit", [torch.tensor([1, 2]), torch.tensor(1.0), 1.0, "1", True])
def test_a_unit_must_be_an_int(unit):
    with pytest.raises(TypeError, match=r"^op: unit must be an integer, got ") as caught:
        check_unit("op", "fc", OUTPUT, unit)
    assert str(caught.value).endswith(repr(unit))


def test_wrong_outputs():
    with pytest.raises(ValueError, match=r"^op: unit must be one of the 3 of 'fc', 0 to 2, got 3$"):
        check_unit("op", "fc", OUTPUT, 3)
    with pytest.raises(ValueError, match=r"units along dim 1, got 'fc', which gives \[4\]$"):
        check_unit("op", "fc", OUTPUT[:, 0, 0], None)
    for output in (OUTPUT, OUTPUT[0, 0, 0]):
        with pytest.raises(
            ValueError, match=r"each of 5 samples, got 'fc', which gives \["
        ) as caught:
            check_samples("op", "fc", output, 5)
        assert str(caught.value).endswith(str(list(output.shape)))
