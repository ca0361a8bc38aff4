"""Hypercolumns against F.interpolate and torch.cat."""

import importlib
import runpy
import sys
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from repository import EXAMPLES
from torch import nn

import relustat
from relustat.analysis.hypercolumn import bilinear
from relustat.analysis.hypercolumn.hypercolumns import hypercolumns

# The package may give the function of that name.
hypercolumns_module = importlib.import_module("relustat.analysis.hypercolumn.hypercolumns")
LAYERS = ["first", "second", "head.1"]


class Network(nn.Module):
    """5 maps of the size of x, 7 of half the size; 6 and 4 linear outputs."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(5, 7, 3, padding=1))
        self.head = nn.Sequential(nn.Flatten(), nn.LazyLinear(6), nn.ReLU(), nn.Linear(6, 4))

    def forward(self, x):
        return self.head(torch.relu(self.second(self.first(x))))


@pytest.fixture
def x():
    return torch.randn(2, 3, 10, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model(x):
    torch.manual_seed(0)
    model = Network().eval()
    model(x)
    return model


def expected_of(model, x, size):
    first = model.first(x)
    second = model.second(first)
    linear = model.head[:2](torch.relu(second))[:, :, None, None]
    maps = [
        F.interpolate(values.double(), size, mode="bilinear", align_corners=False).to(x.dtype)
        for values in (first, second, linear)
    ]
    return torch.cat(maps, 1).detach()


def pixels_of(values):
    """Hypercolumns that are ``values``, [N, C, H, W], themselves."""
    return hypercolumns(nn.Sequential(nn.Identity()).eval(), values, ["0"])


@pytest.mark.parametrize("size", [None, (10, 12), (20, 24), (17, 31), (5, 6), (3, 7), (1, 1)])
def test_equal_to_interpolated_layers(model, x, size, monkeypatch):
    # Blocks of 1 to 4 channels, the last of a layer shorter.
    monkeypatch.setattr(hypercolumns_module, "_BLOCK_ELEMENTS", 1000)
    expected = expected_of(model, x, size or (10, 12))
    columns = hypercolumns(model, x, LAYERS, size)
    assert columns.shape == tuple(expected.shape)
    assert columns.layers == {
        "first": slice(0, 5),
        "second": slice(5, 12),
        "head.1": slice(12, 18),
    }
    torch.testing.assert_close(columns.tensor(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(columns[:], expected, rtol=1e-5, atol=1e-6)
    assert not columns.tensor().requires_grad
    for layer, channels in columns.layers.items():
        torch.testing.assert_close(columns.mean([layer]), expected[:, channels].mean(1))
    torch.testing.assert_close(columns.mean(), expected.mean(1))
    both = torch.cat([expected[:, :5], expected[:, 12:]], 1).mean(1)
    torch.testing.assert_close(columns.mean(["head.1", "first"]), both)
    torch.testing.assert_close(columns.mean(iter(["head.1", "first"])), both)


def test_interpolation_by_hand():
    """2 cells under 4 pixels: the inner ones are a quarter of the way to the other cell."""
    columns = hypercolumns(
        nn.Sequential(nn.AvgPool2d(2)).eval(), torch.tensor([[[[1.0, 3, 5, 7]] * 2]]), ["0"]
    )
    assert columns.tensor().tolist() == [[[[2, 3, 5, 6]] * 2]]
    assert columns[0, 0, 1].tolist() == [2, 3, 5, 6]


def test_the_order_of_channels_is_that_of_the_layers(model, x):
    columns = hypercolumns(model, x, ["head.1", "first.1"])
    expected = expected_of(model, x, (10, 12))
    assert columns.layers == {"head.1": slice(0, 6), "first.1": slice(6, 11)}
    again = torch.cat([expected[:, 12:], expected[:, :5]], 1)
    torch.testing.assert_close(columns.tensor(), again)


ONE_DIM = [
    0,
    1,
    -1,
    slice(None),
    slice(1, None),
    slice(-2, None),
    slice(None, None, 2),
    slice(9, 2),
]
INDICES = [
    *product(ONE_DIM, repeat=2),
    *((slice(None), slice(3, 17, channels)) for channels in (1, 2, 3, 5, 7)),
    *((0, 7, row, column) for row in (4, -10, slice(1, 9, 3)) for column in (11, slice(-7, 50))),
    *((1, slice(4, 13), row, -12) for row in (9, slice(5, 5), slice(-100, 3))),
    *((slice(None), slice(None), row) for row in ONE_DIM),
    (slice(None), slice(None), np.int64(3), np.int64(-2)),
    (),
    *ONE_DIM,
]


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_indices_are_those_of_the_tensor(model, x, block, monkeypatch):
    monkeypatch.setattr(hypercolumns_module, "_BLOCK_ELEMENTS", block)
    columns = hypercolumns(model, x, LAYERS)
    expected = expected_of(model, x, (10, 12))
    for index in INDICES:
        found = columns[index]
        assert found.shape == expected[index].shape, index
        torch.testing.assert_close(found, expected[index], rtol=1e-5, atol=1e-6, msg=str(index))


def test_only_what_is_asked_for_is_interpolated(model, x, monkeypatch):
    sizes = []

    def counted(values, size, rows, columns):
        result = resized_at(values, size, rows, columns)
        sizes.append(result.numel())
        return result

    resized_at = bilinear.resized_at
    monkeypatch.setattr(hypercolumns_module, "resized_at", counted)
    columns = hypercolumns(model, x, LAYERS, (1000, 1000))
    assert columns[1, 3:9:2, 500, 10:20:5].numel() == sum(sizes) == 3 * 2
    sizes.clear()
    assert columns.at([1, 2, 3], [4, 5, -1]).numel() == sum(sizes) == 2 * 3 * 18


def test_the_tensor_is_made_in_blocks(model, x, monkeypatch):
    monkeypatch.setattr(hypercolumns_module, "_BLOCK_ELEMENTS", 4 * 2 * 50 * 60)
    blocks = []
    interpolate = F.interpolate
    monkeypatch.setattr(
        F,
        "interpolate",
        lambda values, *args, **kw: (
            blocks.append(values.shape[1]) or interpolate(values, *args, **kw)
        ),
    )
    hypercolumns(model, x, LAYERS, (50, 60)).tensor()
    assert blocks == [4, 1, 4, 3, 4, 2]


def test_columns_at_pixels(model, x):
    expected = expected_of(model, x, (17, 31))
    columns = hypercolumns(model, x, LAYERS, (17, 31))
    rows, positions = [0, 16, -17, 5, 5], [30, -31, 4, 9, 9]
    found = columns.at(rows, positions)
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected[:, :, rows, positions].mT)
    as_tensors = columns.at(torch.tensor(rows, dtype=torch.int16), torch.tensor(positions))
    assert torch.equal(as_tensors, found)
    assert columns.at(torch.arange(0), torch.arange(0)).shape == (2, 0, 18)
    assert columns.at([], []).shape == (2, 0, 18)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # Of the shorter ones: correctly rounded, but for a last bit.
    [(torch.float64, 1e-13), (torch.bfloat16, 2**-7), (torch.float16, 2**-10)],
)
def test_the_dtype_is_that_of_x(model, x, dtype, tolerance):
    columns = hypercolumns(model.to(dtype), x.to(dtype), LAYERS, (13, 14))
    assert {each.dtype for each in (columns.tensor(), columns[0], columns.mean())} == {dtype}
    expected = expected_of(model, x.to(dtype), (13, 14))
    close = {"rtol": tolerance, "atol": min(tolerance, 1e-6)}
    torch.testing.assert_close(columns[:], expected, **close)
    torch.testing.assert_close(columns.tensor(), expected, **close)
    means = columns.mean().double()
    torch.testing.assert_close(means, expected.double().mean(1), rtol=tolerance, atol=4 * tolerance)


def test_layers_may_differ_in_dtype(x):
    class Halving(nn.Module):
        def forward(self, x):
            assert not torch.is_grad_enabled()
            return x.half()

    columns = hypercolumns(nn.Sequential(nn.ReLU(), Halving()).eval(), x, ["1", "0"])
    expected = torch.cat([x.relu().half().float(), x.relu()], 1)
    assert torch.equal(columns.tensor(), expected)


def test_means_stay_within_float16():
    x = torch.full((1, 500, 2, 2), 60000.0, dtype=torch.float16)
    assert pixels_of(x).mean().tolist() == [[[60000] * 2] * 2]


def test_layers_are_named_as_watch_names_them(x):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            return torch.relu(self.relu(self.relu(x) - 1) - 1)

    model = Twice().eval()
    with relustat.watch(model) as watch:
        model(x.clone())
    names = list(watch.stats)
    columns = hypercolumns(model, x.clone(), names)
    assert list(columns.layers) == names
    assert len(names) == 3
    expected = torch.cat([(x - shift).relu() for shift in range(3)], 1)
    torch.testing.assert_close(columns.tensor(), expected)


def test_wrong_calls_of_hypercolumns(model, x):
    def raises(error, match, *args):
        with pytest.raises(error, match=f"^hypercolumns: {match}"):
            hypercolumns(*args)

    raises(TypeError, "x must be a tensor of floats, got torch.int64", model, x.long(), LAYERS)
    raises(TypeError, "x must be a tensor of floats, got list", model, [1.0], LAYERS)
    raises(ValueError, r"x must be \[N, C, H, W\].*, got \[3, 10, 12\]", model, x[0], LAYERS)
    raises(ValueError, r"x must be .* no size of 0, got \[0, 3, 10, 12\]", model, x[:0], LAYERS)
    raises(TypeError, "layers must be a list of names, got the string 'first'", model, x, "first")
    raises(ValueError, r"layers must be one or more different names, got \[\]", model, x, [])
    raises(ValueError, r"layers must .*\['first', 'first'\]", model, x, ["first"] * 2)
    raises(ValueError, "layer must name .*'frist'; near names: 'first'", model, x, ["frist"])
    raises(
        ValueError,
        r"a layer must give \[2, F\] or \[2, C, h, w\] .* got \[2, 3, 120\] from '0'",
        *(nn.Sequential(nn.Flatten(2)).eval(), x, ["0"]),
    )
    raises(
        ValueError,
        r"a layer must give \[2, F\] .* got \[6, 120\] from '1'",
        *(nn.Sequential(nn.Flatten(0, 1), nn.Flatten()).eval(), x, ["1"]),
    )
    for size in [(0, 4), (4, -1), (4,), (4.0, 4), 4]:
        raises(ValueError, "size must be two integers above 0", model, x, LAYERS, size)
    raises(ValueError, "the model must be in evaluation mode", model.train(), x, LAYERS)
    raises(TypeError, "model must be an nn.Module, got function", expected_of, x, LAYERS)


def test_wrong_calls_of_columns(model, x):
    columns = hypercolumns(model, x, LAYERS)
    for error, match, call in [
        (IndexError, "at most 4 indices, got 5", lambda: columns[0, 0, 0, 0, 0]),
        (IndexError, "dimension 1 must be within -18 and 17, got 18", lambda: columns[0, 18]),
        (IndexError, "dimension 0 must be within -2 and 1, got -3", lambda: columns[-3]),
        (ValueError, "step must be above 0, got -1", lambda: columns[::-1]),
        (TypeError, "an integer or a slice, got a bool", lambda: columns[True]),
        (TypeError, "an integer or a slice, got a Tensor", lambda: columns[torch.tensor([0])]),
        (TypeError, "rows must be integers, got torch.float32", lambda: columns.at([0.5], [1])),
        (ValueError, r"one length, got \[2\] and \[1\]", lambda: columns.at([0, 1], [1])),
        (IndexError, "columns must be within -12 and 11, got 12", lambda: columns.at([0], [12])),
        (ValueError, "got 'head'; near names: 'head.1'", lambda: columns.mean(["head"])),
        (ValueError, "must name at least one, got none", lambda: columns.mean([])),
        (
            TypeError,
            "must be a list of names, got the string 'first'",
            lambda: columns.mean("first"),
        ),
    ]:
        with pytest.raises(error, match=f"^Hypercolumns.*{match}"):
            call()


def test_repr(model, x):
    columns = hypercolumns(model, x, LAYERS)
    assert repr(columns) == "<Hypercolumns [2, 18, 10, 12] of first, second, head.1>"


def test_plot(model, x, tmp_path):
    columns = hypercolumns(model, x, LAYERS, (8, 9))
    figure = columns.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [*LAYERS, "all layers", *[""] * 4]
    means = [axes.get_images()[0].get_array() for axes in figure.axes]
    full = columns.tensor()
    for image in range(2):
        second, everything = means[4 * image + 1], means[4 * image + 3]
        np.testing.assert_allclose(second, full[image, 5:12].mean(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(everything, full[image].mean(0), rtol=1e-4, atol=1e-6)
    figure.savefig(tmp_path / "figure.png", dpi=30)


def test_plotting_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'relustat\[plot\]'"):
        pixels_of(torch.randn(1, 2, 3, 4)).plot()


def test_example(tmp_path, monkeypatch, capsys):
    examples = EXAMPLES
    monkeypatch.syspath_prepend(examples)
    networks = importlib.import_module("networks")
    untrained = networks.Network(networks.VGG16(False).eval(), networks.CAFFE, False, "untrained")
    pixels = np.random.default_rng(0).integers(0, 256, (250, 230, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    example = runpy.run_path(str(examples / "hypercolumns.py"))["main"]
    monkeypatch.setitem(example.__globals__, "vgg16", lambda *_: untrained)
    halves = (torch.arange(224) >= 56).long().expand(1, 224, 224)
    monkeypatch.setitem(example.__globals__, "hypercolumn_clusters", lambda *_: halves)
    example(["--images", str(tmp_path), "--out", str(tmp_path / "picture.webp")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("VGG-16, untrained; 1 photographs")
    assert lines[1].startswith("noise.png: [1, 1472, 224, 224], mean ")
    assert lines[1].endswith("clusters of 25.0%, 75.0%")
    with Image.open(tmp_path / "picture.webp") as picture:
        assert picture.width == 1288
