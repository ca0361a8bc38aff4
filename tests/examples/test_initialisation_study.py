"""The example runs in miniature, and what it computes is so."""

import importlib
import re

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from idx_files import make_idx
from oracle import numpy_of
from repository import EXAMPLES

TINY = ["--seeds=5", "--steps=3", "--samples=50"]


@pytest.fixture
def correlations(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("correlations")


@pytest.fixture
def study(correlations):
    return importlib.import_module("initialisation_study")


def test_in_miniature(study, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    study.main([*TINY, "--shifts", "-0.1", "0", f"--out={picture}"])
    told = capsys.readouterr().out
    assert "50 training and 359 test images; 10 networks of 64-32-16-12-10 units" in told
    for heading in ("initial biases -0.1", "initial biases +0", "all biases together"):
        assert f"\n{heading}" in told
    assert told.count("share of zeros") == told.count("patterns  ") == 3 * 5
    # Neither 5 networks nor 10 are enough.
    assert told.count("fewer than 20 networks") == 3 * 10
    assert "interval" not in told
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]
    zeros, elements, seconds = re.search(
        r"([\d,]+) zeros among ([\d,]+) ReLU outputs, counted in ([\d.]+) s", told
    ).groups()
    assert elements == "11,300,000"
    assert 0 < int(zeros.replace(",", "")) < 11_300_000
    assert float(seconds) > 0


def test_idx_files_and_linear_outputs(study, tmp_path, capsys):
    make_idx(tmp_path, compress=True)
    out = tmp_path / "picture.png"
    study.main([*TINY, f"--data={tmp_path}", "--linear-output", f"--out={out}"])
    told = capsys.readouterr().out
    assert "5 networks of 784-750-320-50-10 units" in told
    # As many as images.
    assert re.search(r"patterns +all +50 +50 +fewer than 20 networks\n", told)
    assert told.count("share of zeros") == told.count("patterns  ") == 4


def test_counts(study):
    model = study.make_model(6, (5, 3), seed=1, shift=-0.1)
    x = torch.randn(1500, 6)
    hidden = numpy_of(model[:3](x)) > 0
    output = numpy_of(model(x)) > 0
    both = np.concatenate([hidden, output], 1)
    expected = {
        ("share of zeros", "all"): 1 - both.mean(),
        ("share of zeros", 1): 1 - hidden.mean(),
        ("share of zeros", 2): 1 - output.mean(),
        ("patterns", "all"): len(np.unique(both, axis=0)),
        ("patterns", 1): len(np.unique(hidden, axis=0)),
        ("patterns", 2): len(np.unique(output, axis=0)),
    }
    assert study.count(model, x) == pytest.approx(expected, rel=1e-12)


def test_each_network_is_trained_as_if_alone(study):
    images = study.load(study.parse([*TINY]))
    models = [study.make_model(64, (8, 10), seed) for seed in range(3)]
    losses, accuracies = study.train(models, images, steps=5, rate=0.1)
    order = torch.Generator().manual_seed(0)
    batches = [torch.randint(50, (64,), generator=order) for _ in range(5)]
    for index, model in enumerate(models):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for chosen in batches:
            optimizer.zero_grad()
            x, labels = images.train_images[chosen], images.train_labels[chosen]
            F.cross_entropy(model(x), labels).backward()
            optimizer.step()
        scores = model(images.test_images).detach()
        loss = F.cross_entropy(scores, images.test_labels)
        assert losses[index] == pytest.approx(loss.item(), rel=1e-4)
        right = (scores.argmax(1) == images.test_labels).double().mean()
        assert accuracies[index] == pytest.approx(right.item(), abs=0.01)


def test_networks_differ_in_their_seed_and_shift_alone(study):
    plain, shifted = (study.make_model(4, (3, 2), 7, shift=shift) for shift in (0, 0.5))
    other = study.make_model(4, (3, 2), 8)
    assert torch.equal(plain[1].weight, shifted[1].weight)
    assert torch.equal(plain[3].bias + 0.5, shifted[3].bias)
    assert not torch.equal(plain[1].weight, other[1].weight)


def test_bad_input(study, capsys, tmp_path):
    with pytest.raises(SystemExit):
        study.main(["--seeds=0"])
    assert "--seeds must be at least 1, got 0" in capsys.readouterr().err
    out = tmp_path / "picture.png"
    with pytest.raises(SystemExit, match=r"--rate must let the loss fall, got 1e\+30"):
        study.main([*TINY, "--rate=1e30", "--linear-output", f"--out={out}"])
    assert not out.exists()


def test_correlations_equal_scipys(correlations):
    random = np.random.default_rng(0)
    x = random.integers(5, size=40)
    y = x + random.normal(size=40) ** 3
    found = correlations.Correlation.of(x, y)
    for interval, expected in [
        (found.spearman, scipy.stats.spearmanr(x, y).statistic),
        (found.pearson, scipy.stats.pearsonr(x, y).statistic),
    ]:
        assert interval.value == pytest.approx(expected)
        assert interval.low < interval.value < interval.high
    bootstrap = scipy.stats.bootstrap(
        (x, y),
        lambda a, b: scipy.stats.pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=1,
    ).confidence_interval
    assert (found.pearson.low, found.pearson.high) == pytest.approx(bootstrap, abs=0.03)
    assert found == correlations.Correlation.of(x, y)
    assert correlations.Correlation.of(np.ones(40), y) is None


@pytest.fixture
def shown(study, monkeypatch):
    """The picture of networks whose zeros are the losses, and whose patterns are equal."""
    figures = []
    monkeypatch.setattr(study.Figure, "savefig", lambda figure, *_, **__: figures.append(figure))

    def shown(count):
        losses = np.arange(float(count))
        counts = {("share of zeros", "all"): losses, ("patterns", "all"): np.ones(count)}
        correlations = study.correlate(counts, losses)
        study.draw(counts, losses, np.zeros(count), correlations, "picture.png")
        return figures.pop()

    return shown


def test_an_interval_takes_20_networks(correlations, shown, capsys):
    few, enough = shown(19), shown(20)
    assert [axes.get_title() for axes in few.axes] == ["all layers\nfewer than 20 networks"] * 2
    assert capsys.readouterr().out.count("[") == 2
    assert [axes.get_title() for axes in enough.axes] == [
        "all layers\n+1.00 [+1.00, +1.00]",
        "all layers\nthe same for every network",
    ]
    assert "95 % interval" in enough.get_supxlabel()
    assert few.get_supxlabel() == ""
    assert "20 networks" in enough.get_suptitle()
    with pytest.raises(ValueError, match="takes at least 20 pairs, got 19"):
        correlations.Correlation.of(np.arange(19), np.arange(19))


@pytest.mark.parametrize(
    ("slope", "noise", "words"),
    [
        (1, 0.1, "where more, a higher loss"),
        (-1, 0.1, "where more, a lower loss"),
        (0, 1, "no correlation can be seen"),
    ],
)
def test_words(correlations, slope, noise, words):
    x, deviation = np.random.default_rng(0).normal(size=(2, 50))
    found = correlations.Correlation.of(x, slope * x + noise * deviation)
    assert found.in_words("loss") == words


def test_intervals_that_disagree(correlations):
    found = correlations.Correlation(
        correlations.Interval(0.3, -0.1, 0.6), correlations.Interval(0.4, 0.1, 0.7)
    )
    assert found.in_words("loss") == "unclear: one of the intervals holds 0"
    assert str(found.pearson) == "+0.40 [+0.10, +0.70]"
