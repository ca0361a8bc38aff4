"""What a watch does in the course of a training: when it counts, and what it notes of epochs."""

import pytest
import torch
from oracle import assert_counts
from torch import nn

import relustat
from relustat import History


def net():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.ReLU())


def calls(watch):
    return {name: stats.calls for name, stats in watch.stats.items()}


@pytest.mark.parametrize("during", ["train", "eval", "all"])
def test_during(device, during):
    model = net().to(device)
    x = torch.randn(3, 4, device=device)
    with relustat.watch(model, during=during) as watch:
        for training, times in ((True, 3), (False, 2)):
            model.train(training)
            for _ in range(times):
                model(x)
        # A part that is frozen is trained with the rest.
        model.train()
        model[3].eval()
        model(x)
    expected = {"train": 4, "eval": 2, "all": 6}[during]
    assert calls(watch) == {"1": expected, "3": expected}


def test_during_of_a_compiled_model(device):
    model = net().to(device)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(3, 4, device=device)
    with relustat.watch(compiled, during="eval") as watch:
        for training in (True, False, True, False, False):
            model.train(training)
            compiled(x)
    assert calls(watch) == {"1": 3, "3": 3}


def test_wrong_during_leaves_the_model_alone():
    model = net()
    with pytest.raises(ValueError, match="during must be 'train', 'eval' or 'all', got 'test'"):
        relustat.watch(model, during="test")
    relustat.watch(model).close()


def test_stop_and_start(device):
    model = net().to(device)
    xs = torch.randn(5, 3, 4, device=device)
    with relustat.watch(model, bins=relustat.LinearBins(-2, 2, 8)) as watch:
        watch.stop()
        model(xs[0])
        assert watch.stats == {}
        assert not any("never called" in warning for warning in watch.report().warnings)
        watch.start()
        model(xs[1])
        watch.stop()
        with watch.pause():
            model(xs[2])
        model(xs[3])
        watch.start()
        with watch.pause():
            model(xs[4])
    assert_counts(watch.stats["1"], model[0](xs[1]), relustat.LinearBins(-2, 2, 8), 1)


def test_stopped_calls_are_not_among_every_third(device):
    model = nn.ReLU()
    x = torch.ones(2, device=device)
    with relustat.watch(model, every=3) as watch:
        for step in range(10):
            watch.start() if step % 2 else watch.stop()
            model(x)
    assert calls(watch) == {"relu": 2}  # the first and the fourth of five


def test_snapshots_are_of_what_was_counted_in_between(device):
    model = net().to(device)
    epochs = [torch.randn(steps, 3, 4, device=device) for steps in (2, 1, 3)]
    with relustat.watch(model) as watch:
        for epoch, xs in enumerate(epochs):
            for x in xs:
                model(x)
            watch.snapshot(epoch)
        assert watch.stats == {site: watch.history.total(site) for site in ("1", "3")}
    assert [span.first for span in watch.history.spans] == [0, 1, 2]
    for span, xs in zip(watch.history.spans, epochs, strict=True):
        inputs = model[0](xs.flatten(0, 1))
        assert span.stats["1"].calls == len(xs)
        assert span.stats["1"].unit_zeros.tolist() == (inputs <= 0).sum(0).tolist()


def test_an_epoch_that_is_refused_is_not_lost(device):
    model = nn.ReLU()
    x = torch.ones(2, device=device)
    with relustat.watch(model) as watch:
        model(x)
        watch.snapshot(5)
        model(x)
        with pytest.raises(ValueError, match="epochs must increase, got 5 after 5"):
            watch.snapshot(5)
        model(x)
        watch.snapshot(6)
    assert [span.stats["relu"].calls for span in watch.history.spans] == [1, 2]


def test_reset_begins_anew_and_keeps_the_history(device):
    model = nn.ReLU()
    x = torch.ones(2, device=device)
    with relustat.watch(model) as watch:
        model(x)
        model(x)
        watch.snapshot(0)
        watch.reset()
        model(x)
        watch.snapshot(1)
        model(x)
        watch.history = History(limit=2)
        watch.snapshot(0)
    assert watch.history.total("relu").calls == 1


def test_deaths_and_revivals_of_a_training(device, tmp_path):
    model = nn.Sequential(nn.Linear(2, 3, bias=True), nn.ReLU()).to(device)
    nn.init.zeros_(model[0].weight)
    biases = [[1, 1, -1], [1, -1, -1], [-1, 1, -1], [1, 1, 1]]
    with relustat.watch(model) as watch:
        for epoch, bias in enumerate(biases):
            model[0].bias.data = torch.tensor(bias, dtype=torch.float32, device=device)
            model(torch.randn(4, 2, device=device))
            watch.snapshot(epoch)
    watch.history.save(tmp_path / "history.npz")
    history = History.load(tmp_path / "history.npz")
    assert history == watch.history
    assert {epoch: units.tolist() for epoch, units in history.deaths("1").items()} == {
        1: [1],
        2: [0],
    }
    assert {epoch: units.tolist() for epoch, units in history.revivals("1").items()} == {
        2: [1],
        3: [0, 2],
    }
    assert history.dead_units("1").tolist() == []
