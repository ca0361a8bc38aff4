"""The metric has the numbers of a watch, over batches and copies of itself."""

import math

import pytest
import torch

import relustat

pytestmark = pytest.mark.integrations


def metric(**options):
    from relustat.integrations.torchmetrics import ReLUMetric

    return ReLUMetric(5, unit_dim=1, **options)


def batches():
    torch.manual_seed(0)
    for _ in range(4):
        x = torch.randn(3, 5, 2)
        x[:, 1] = -1
        x[:, 3] = 1
        x[0, 0, 0] = torch.nan
        yield x


def test_numbers_are_those_of_a_watch():
    ours, halves = metric(), [metric(), metric()]
    model = torch.nn.Sequential(torch.nn.ReLU())
    with relustat.watch(model, unit_dim=1) as watch:
        for index, x in enumerate(batches()):
            model(x)
            of_batch = ours(x)  # forward: the numbers of the batch
            assert of_batch["calls"] == 1
            halves[index % 2].update(x)
    row = watch.report()["0"]
    found = {name: value.item() for name, value in ours.compute().items()}
    assert found == {name: getattr(row, name) for name in found}
    assert found["dead"] == found["always_on"] == 1
    assert found["nans"] == 4
    assert ours.unit_zeros.tolist() == row.stats.unit_zeros.tolist()
    # As over two processes: torchmetrics adds up the states.
    for name, how in ours._reductions.items():
        both = torch.stack([getattr(half, name) for half in halves])
        assert torch.equal(how(both), getattr(ours, name)), name


def test_nothing_counted():
    nothing = metric()
    nothing.update(torch.empty(0, 5))
    with pytest.warns(UserWarning, match="called before"):
        found = metric().compute()
    assert found["calls"] == found["dead"] == found["always_on"] == 0
    assert math.isnan(found["zero_fraction"])
    assert nothing.compute()["calls"] == 0


def test_reset_and_state():
    ours = metric()
    ours.update(torch.ones(2, 5))
    ours.reset()
    assert ours.compute()["elements"] == 0
    ours.persistent(True)
    ours.update(torch.ones(2, 5))
    other = metric()
    other.persistent(True)
    other.load_state_dict(ours.state_dict())
    assert other.elements == 10


def test_a_watch_does_not_take_it_for_a_relu():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.metric, self.layer = metric(), torch.nn.Linear(2, 2)

        def forward(self, x):
            self.metric(x)
            return torch.relu(self.layer(x))

    model = Model()
    with relustat.watch(model, unit_dim=1) as watch:
        model(torch.ones(3, 5, 2))
    assert list(watch.stats) == ["relu"]
    assert model.metric.elements == 30


def test_states_stay_integers():
    ours = metric().set_dtype(torch.float16).half()
    for _ in range(3000):
        ours.update(torch.ones(1, 5, 1))
    assert ours.compute()["calls"] == 3000


def test_other_numbers_of_units():
    ours = metric()
    rule = r"ReLUMetric: x must have 5 units, got 4 in a Tensor of torch.float32"
    with pytest.raises(ValueError, match=rule):
        ours.update(torch.ones(2, 4))
    assert ours.elements == 0
    with pytest.raises(TypeError, match="ReLUMetric: x must be a Tensor, got list"):
        ours.update([[1.0]])
    from relustat.integrations.torchmetrics import ReLUMetric

    with pytest.raises(ValueError, match="units must be an integer of at least 1, got 0"):
        ReLUMetric(0)
