"""`relustat.analyze`: a model, a loader, a report."""

import sys

import pytest
import torch
from analyzed_models import Decoder, TwoInputs, mlp, numbers
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import relustat
from relustat import LinearBins, analyze


def counted(model, *calls):
    """What a watch counts in the same calls."""
    with torch.no_grad(), relustat.watch(model.eval()) as watch:
        for call in calls:
            call()
    return watch.report()


def test_pairs_on_a_device(device):
    model = mlp().to(device)
    loader = DataLoader(TensorDataset(numbers(21), torch.zeros(21)), batch_size=4)
    report = analyze(model, loader)
    assert report == counted(
        model, *(lambda x=x: model(x.to(device)) for x in numbers(21).split(4))
    )
    assert report["1"].elements == 21 * 8
    assert report["1"].calls == 6


def test_tensors_tuples_and_dicts():
    x, y = numbers(6), torch.ones(6, 3)
    model, two = mlp(), TwoInputs()
    assert analyze(model, [x, x]) == counted(model, *[lambda: model(x)] * 2)
    assert analyze(model, (each for each in [[x, y]])) == counted(model, lambda: model(x))
    expected = counted(two, lambda: two(x, y))
    assert analyze(two, [(x, y, "label")]) == expected
    assert analyze(two, [{"right": y, "left": x, "label": 3}]) == expected
    decoder, ids = Decoder(), torch.arange(12).view(2, 6)
    report = analyze(decoder, [{"input_ids": ids, "labels": ids, "attention_mask": ids > 0}])
    assert report == counted(decoder, lambda: decoder(ids))
    # Units are the last dimension.
    assert {name: row.units for name, row in report.items()} == {
        "layers.0.activation_fn": 10,
        "layers.1.activation_fn": 10,
    }


def test_the_limit_ends_the_pass_with_a_whole_batch():
    seen = []

    def batches():
        for index in range(10):
            seen.append(index)
            yield numbers(4)

    assert analyze(mlp(), batches(), limit=9)["1"].elements == 12 * 8
    assert seen == [0, 1, 2]
    assert analyze(mlp(), [numbers(4)] * 3, limit=100)["1"].calls == 3


def test_options_of_watch():
    report = analyze(mlp(), [numbers(6)] * 4, bins=LinearBins(-1, 1, 4), every=2, skip="3")
    assert list(report) == ["1"]
    assert report["1"].calls == 2
    assert report["1"].stats.bins == LinearBins(-1, 1, 4)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(), nn.ReLU())
    model[2].eval()
    hooks = [dict(module._forward_hooks) for module in model.modules()]
    modes = []
    model.register_forward_hook(
        lambda module, *_: modes.append((module.training, torch.is_grad_enabled()))
    )
    analyze(model, [numbers(3)])
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        analyze(model, [torch.zeros(2, 3)])
    assert modes == [(False, False)]
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    assert [dict(module._forward_hooks) for module in model.modules()][1:] == hooks[1:]
    assert torch.is_grad_enabled()
    with relustat.watch(model):
        pass


def test_moved_to_a_device_and_back():
    class Marked(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.moves = nn.Linear(4, 5), []

        def to(self, device):
            self.moves.append(str(device))
            return self

        def forward(self, x):
            return self.fc(torch.ones(x.shape)).relu()

    model = Marked()
    analyze(model, [numbers(3)], device="meta")
    assert model.moves == ["meta", "cpu"]
    analyze(model, [numbers(3)], device="cpu")
    assert model.moves == ["meta", "cpu"]


def test_autocast():
    dtypes = []
    model = mlp()
    model[1].register_forward_hook(lambda _module, _inputs, output: dtypes.append(output.dtype))
    analyze(model, [numbers(3)], autocast=torch.bfloat16)
    analyze(model, [numbers(3)])
    assert dtypes == [torch.bfloat16, torch.float32]


class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.relu = nn.Linear(4, 5), nn.ReLU()

    def decode(self, x):
        return self.relu(self.fc(x))


def test_a_call_of_ones_own():
    batch = {"z": numbers(3)}
    report = analyze(Coder(), [batch], call=lambda model, batch: model.decode(batch["z"]))
    assert {name: row.elements for name, row in report.items()} == {"relu": 15}
    # A plain call has the names that it has without.
    model = mlp()
    assert list(analyze(model, [numbers(3)], call=lambda model, x: model(x))) == ["1", "3"]


def test_progress_in_a_pipe(capsys, monkeypatch):
    from relustat.data_pass import progress

    monkeypatch.setattr(progress, "_BETWEEN_LINES", 0.0)
    analyze(mlp(), [numbers(3)] * 2, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert first.startswith("3 samples, 50%, ")
    assert second.startswith("6 samples, 100%, ")


def test_progress_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    analyze(mlp(), [numbers(3)] * 2, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "6 samples, 100%, " in printed.err


class Stream(IterableDataset):
    def __iter__(self):
        return iter([numbers(3), numbers(2)])


def test_a_stream():
    assert analyze(mlp(), DataLoader(Stream(), batch_size=None))["1"].elements == 5 * 8


def test_packed_sequences_stay_packed():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.seen = nn.GRU(4, 8), []

        def forward(self, x):
            self.seen.append(x.batch_sizes.tolist())
            return self.rnn(x)[0].data.relu()

    model, packed = Recurrent(), pack_sequence([numbers(5), numbers(3), numbers(2)])
    for batch in (packed, (packed, torch.zeros(3))):
        assert analyze(model, [batch], limit=3)["relu"].elements == 10 * 8
    assert model.seen == [[3, 3, 2, 1, 1]] * 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, []), {}, TypeError, "analyze: model must be an nn.Module, got int"),
        ((mlp(), numbers(3)), {}, TypeError, "got a Tensor; [x] is a loader"),
        ((mlp(), {"x": 1}), {}, TypeError, "got a dict; [x] is a loader"),
        (
            (mlp(), TensorDataset(numbers(3))),
            {},
            TypeError,
            "got a TensorDataset of samples",
        ),
        ((mlp(), Stream()), {}, TypeError, "got a Stream of samples"),
        ((mlp(), 3), {}, TypeError, "an iterable of batches, got a int"),
        ((mlp(), "photos"), {}, TypeError, "an iterable of batches, got a str"),
        ((mlp(), []), {}, ValueError, "analyze: loader must give at least one batch, got none"),
        ((mlp(), [numbers(3)]), {"limit": 0}, ValueError, "limit must be at least 1, got 0"),
        ((mlp(), [numbers(3)]), {"limit": 1.5}, ValueError, "limit must be an integer, got 1.5"),
        ((mlp(), [numbers(3)]), {"autocast": "bf16"}, TypeError, "must be a torch.dtype or None"),
        ((mlp(), [numbers(3)]), {"call": 3}, TypeError, "call must be a function, got int"),
        ((mlp(), [numbers(3)]), {"every": 0}, ValueError, "every must be"),
        ((TwoInputs(), [{"a": 1}]), {}, ValueError, "a batch that is a dict must have arguments"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error) as raised:
        analyze(*arguments, **options)
    assert message in str(raised.value)
