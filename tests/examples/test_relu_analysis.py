"""ReLU histograms of VGG-16 and ResNet-18, and what goes wrong where they are made by hand."""

import importlib
import re

import numpy as np
import pytest
import torch
from PIL import Image
from repository import EXAMPLES
from torch import nn

import relustat

VGG16_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG16_LINEAR = (0, 3, 6)


@pytest.fixture
def example(monkeypatch):
    """Module relu_analysis, with networks.py beside it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("relu_analysis")


@pytest.fixture
def networks(example):
    return importlib.import_module("networks")


def record(model, sources):
    """What has entered each ReLU, to be asked for after the model ran: by call site the sum of the
    outputs of ``sources``, modules before it. They are copied, since ReLUs work in place."""
    outputs = {path: [] for paths in sources.values() for path in paths}
    for path, found in outputs.items():

        def keep(module, args, output, found=found):
            found.append(output.numpy().copy())

        model.get_submodule(path).register_forward_hook(keep)
    return lambda: {
        site: sum(np.concatenate(outputs[path]) for path in paths)
        for site, paths in sources.items()
    }


def assert_counted(stats, inputs):
    """Site by site exactly what NumPy counts, and no two sites the same."""
    assert list(stats) == list(inputs)
    for site, x in inputs.items():
        edges = stats[site].bins.edges
        assert stats[site].elements == x.size
        assert stats[site].zeros == np.count_nonzero(x <= 0)
        histogram = stats[site].histogram
        assert np.array_equal(histogram.counts(), np.histogram(x, edges)[0])
        assert histogram.underflow == np.count_nonzero(x < edges[0])
        assert histogram.overflow == np.count_nonzero(x > edges[-1])
    assert len({tuple(each.histogram.counts()) for each in stats.values()}) == len(stats)


@torch.no_grad()
def test_each_relu_of_resnet18_has_its_own_counts(example, networks):
    """None is left out, and none counted in the place of another."""
    network = networks.resnet18()
    for module in network.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)
    sources = {"relu": ["bn1"]}
    for layer in (1, 2, 3, 4):
        for number, past in enumerate(
            ["maxpool" if layer == 1 else f"layer{layer}.0.downsample", f"layer{layer}.0"]
        ):
            block = f"layer{layer}.{number}"
            sources[f"{block}.relu"] = [f"{block}.bn1"]
            sources[f"{block}.relu_1"] = [f"{block}.bn2", past]
    inputs = record(network.model, sources)
    labels = torch.tensor([-1])
    report, accuracy = example.analyse(network, [(torch.randn(1, 3, 64, 64), labels)] * 2)
    assert len(sources) == 17
    assert_counted(report.stats, inputs())
    assert example.panels("resnet18", report.stats) == report.stats
    assert str(accuracy).startswith("not known")


@torch.no_grad()
def test_panels_of_vgg16_are_its_convolutions(example, networks):
    network = networks.vgg16()
    before = {f"features.{index + 1}": [f"features.{index}"] for index in VGG16_CONVOLUTIONS}
    before |= {f"classifier.{index + 1}": [f"classifier.{index}"] for index in VGG16_LINEAR[:2]}
    inputs = record(network.model, before)
    report, accuracy = example.analyse(network, [(torch.randn(2, 3, 32, 32), torch.arange(2))])
    inputs = inputs()
    assert_counted(report.stats, inputs)
    assert accuracy.images == 2
    panels = example.panels("vgg16", report.stats)
    groups = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
    assert list(panels) == [f"conv{g}_{n + 1}" for g, size in groups.items() for n in range(size)]
    assert list(panels.values()) == [report.stats[site] for site in list(before)[:13]]


class Stub:
    """A network whose model is one ReLU."""

    model = nn.ReLU()
    classifies = False


def test_share_of_zeros_where_no_edge_is_0(example):
    """Bins left of 0, summed, hold some values that are right of it."""
    x = torch.randn(1000, 100)
    edges = np.linspace(-70, 40, 201)
    counts = np.histogram(x, edges)[0]
    assert 0 not in edges
    below = counts[edges[:-1] < 0].sum() / counts.sum()
    exact = np.count_nonzero(x.numpy() <= 0) / x.numel()
    assert below - exact > 0.1

    report, _ = example.analyse(Stub, [(x, None)])
    assert report.stats["relu"].zero_fraction == exact
    with relustat.watch(Stub.model, bins=relustat.LinearBins(-70, 40, 200)) as watch:
        Stub.model(x)
    assert np.array_equal(watch.stats["relu"].histogram.counts(), counts)
    assert watch.stats["relu"].zero_fraction == exact


def test_inputs_out_of_range_are_counted(example):
    x = 1e5 * torch.randn(1000, 100)
    x[0, :3] = torch.tensor([torch.inf, -torch.inf, torch.nan])
    report, _ = example.analyse(Stub, [(x[:500], None), (x[500:], None)])
    stats = report.stats["relu"]
    edges = stats.bins.edges
    assert np.histogram(x, edges)[0].sum() < 0.6 * x.numel()
    assert stats.histogram.underflow == np.count_nonzero(x.numpy() < edges[0])
    assert stats.histogram.overflow == np.count_nonzero(x.numpy() > edges[-1])
    assert stats.histogram.sum(flow=True) + stats.nans == stats.elements == x.numel()
    assert stats.zeros == np.count_nonzero(x.numpy() <= 0)
    assert any("of the inputs lay outside the bins" in warning for warning in report.warnings)


def test_accuracy(example):
    scores = torch.randn(60, 20)
    labels = torch.arange(60) % 21 - 1
    accuracy = example.Accuracy()
    for part in (slice(0, 25), slice(25, 60)):
        accuracy.add(scores[part], labels[part])
    ranks = [
        sorted(range(20), key=lambda each: -row[each]).index(label)
        for row, label in zip(scores.tolist(), labels.tolist(), strict=True)
        if label >= 0
    ]
    hits = {k: sum(rank < k for rank in ranks) for k in (1, 5)}
    assert 0 < hits[1] < hits[5] < len(ranks) == accuracy.images
    assert accuracy.hits == hits
    top1, top5 = (f"{100 * hits[k] / len(ranks):.2f}%" for k in (1, 5))
    assert str(accuracy) == f"top-1 {top1}, top-5 {top5} of {len(ranks)} labelled images"


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (
            ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv2_3"],
            [["conv1_1", "conv2_1"], ["conv1_2", "conv2_2"], [None, "conv2_3"]],
        ),
        (
            ["relu", "layer1.0.relu", "layer1.0.relu_1"],
            [["relu", "layer1.0.relu"], [None, "layer1.0.relu_1"]],
        ),
    ],
)
def test_a_block_is_a_column(example, monkeypatch, names, rows):
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure)
    )
    model = nn.ReLU()
    with relustat.watch(model) as watch:
        model(torch.randn(50, 4))
    (stats,) = watch.stats.values()
    example.draw(dict.fromkeys(names, stats), "title", "picture.png")
    (figure,) = figures
    grid = [[None] * len(row) for row in rows]
    for axes in figure.axes:
        place = axes.get_subplotspec()
        grid[place.rowspan.start][place.colspan.start] = axes.get_title().partition(":")[0]
    assert grid == rows
    assert len({round(axes.get_position().width, 9) for axes in figure.axes}) == 1


def test_example(example, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "ROUNDS", 1)
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for index in range(3):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
    (tmp_path / "images" / "3.png").touch()
    picture = tmp_path / "picture.png"
    images = f"--images={tmp_path / 'images'}"
    example.main(["--model=resnet18", images, f"--out={picture}", "--batch-size=2"])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "resnet18, random weights (He's initialisation, seed 0), photographs: 3"
    assert told[1] == "1 of 4 could not be read: 3.png"
    table = {line.split()[0]: line.split()[1:3] for line in told[4:21]}
    assert table["relu"] == ["bn1", f"{3 * 64 * 112 * 112:,}"]
    assert table["layer4.1.relu_1"] == ["bn2", f"{3 * 512 * 7 * 7:,}"]
    (shares,) = (line for line in told if line.startswith("share of active outputs"))
    assert len(re.findall(r"relu(?:_1)? 0\.\d{3}", shares)) == 17
    assert any("images/s while counted: 50,000 take" in line for line in told)
    assert any(re.match(r"counting costs [+-]\d+\.\d% \(.* in 1 rounds\)", line) for line in told)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["picture.png"]
