"""`relustat analyze` in one process."""

import csv
import json
import os

import analyzed_models
import numpy as np
import pytest
import torch
from analyzed_models import make_images, mlp, numbers
from models import RESNET_NAMES
from PIL import Image
from repository import EXAMPLES

from relustat import LinearBins, Report, analyze, cli

FILE = analyzed_models.__file__


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def analyzed(model, *arguments, status=0):
    """The report that the command writes."""
    assert cli.main(["analyze", f"{FILE}:{model}", *arguments, "--npz", "relus.npz"]) == status
    return Report.load("relus.npz")


def refused(capsys, *arguments):
    """The sentence of an error."""
    assert cli.main(["analyze", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("relustat: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_a_resnet(tmp_path):
    make_images(tmp_path / "photos", [f"class{index % 2}/{index}.png" for index in range(5)])
    arguments = ["--images", "photos", "--crop", "64", "--batch-size", "2", "--workers", "1"]
    report = analyzed("ResNet", *arguments)
    assert list(report) == RESNET_NAMES
    maps = {"relu": 8 * 32 * 32} | dict.fromkeys(RESNET_NAMES[1:5], 8 * 16 * 16)
    maps |= dict.fromkeys(RESNET_NAMES[5:], 8 * 8 * 8)
    assert {name: row.elements for name, row in report.items()} == {
        name: 5 * elements for name, elements in maps.items()
    }
    assert {row.calls for row in report.values()} == {3}


def test_resnet18_of_the_examples():
    model = f"{EXAMPLES / 'networks.py'}:ResNet18"
    arguments = ["--random", "2", "--shape", "3x64x64", "--quiet", "--npz", "relus.npz"]
    assert cli.main(["analyze", model, *arguments]) == 0
    report = Report.load("relus.npz")
    assert len(report) == 17
    assert {row.units for row in report.values()} == {64, 128, 256, 512}


def test_a_decoder():
    """Units are the last dimension; tokens are guessed from the embedding, or given."""
    for arguments, elements in (
        (["--random", "6"], 6 * 128 * 10),
        (["--random", "6", "--shape", "16"], 6 * 16 * 10),
        (["--tokens", "50", "--shape", "16", "--random", "6"], 6 * 16 * 10),
    ):
        report = analyzed("Decoder", "--set", "layers=1", *arguments)
        assert {name: (row.units, row.elements) for name, row in report.items()} == {
            "layers.0.activation_fn": (10, elements)
        }


def test_a_unet():
    report = analyzed("UNet", "--random", "3", "--shape", "3x16x16")
    assert {name: row.elements for name, row in report.items()} == {"relu": 3 * 4 * 16 * 16}


def test_rows_of_an_array():
    np.save("rows.npy", numbers(10).double().numpy())
    report = analyzed("mlp", "--npy", "rows.npy", "--batch-size", "4", "--limit", "9")
    torch.manual_seed(0)
    assert report == analyze(mlp(), numbers(9).split(4))


@pytest.mark.parametrize(
    ("name", "options", "calls"),
    [
        ("dataset", ["--batch-size", "8"], 3),
        ("stream", ["--batch-size", "8"], 3),
        ("shuffled", [], 6),
    ],
)
def test_data_of_ones_own(name, options, calls):
    report = analyzed("mlp", "--data", f"{FILE}:{name}", *options)
    torch.manual_seed(0)
    expected = analyze(mlp(), [numbers(21)])
    for site, row in report.items():
        assert row.calls == calls
        assert row.stats.unit_zeros.tolist() == expected[site].stats.unit_zeros.tolist()


def test_a_limit_of_endless_data():
    report = analyzed("mlp", "--data", f"{FILE}:endless", "--limit", "9")
    assert report["1"].elements == 12 * 8


def test_options_of_counting():
    report = analyzed(
        *("mlp", "--random", "12", "--batch-size", "3", "--bins", "linear:-1:1:4", "--every", "2"),
        *("--skip", "3", "--unit-histograms"),
    )
    assert list(report) == ["1"]
    assert report["1"].calls == 2
    assert report["1"].stats.bins == LinearBins(-1, 1, 4)
    assert report["1"].stats.unit_histograms.shape == (8, 4)
    assert report.warnings[-1] == "1 call site, not counted: left out by only or skip (3)"
    assert list(analyzed("mlp", "--random", "2", "--only", "3", "--only", "4")) == ["3"]


def test_other_activations(capsys):
    arguments = ["smooth", "--random", "12"]
    assert cli.main(["analyze", f"{FILE}:smooth", *arguments[1:]]) == 0
    assert "no ReLU was called: 2 SiLU; try activations='all'" in capsys.readouterr().out
    report = analyzed(*arguments, "--activations", "silu,ReLU6", "--near-zero", "0.1")
    assert {row.activation for row in report.values()} == {"SiLU"}
    assert {row.stats.activation.near_zero for row in report.values()} == {0.1}
    assert list(analyzed(*arguments, "--activations", "all")) == list(report)
    for option, value, message in (
        ("--activations", "swish", "must be 'relu', 'relu-like', 'all' or a list of ReLU, ReLU6"),
        ("--near-zero", "-1", "must be at least 0 and finite, got -1"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["analyze", f"{FILE}:mlp", option, value])
        assert message in capsys.readouterr().err


def test_weights_and_the_seed(tmp_path):
    torch.manual_seed(5)
    model = mlp()
    torch.save(model.state_dict(), "weights.pt")
    torch.save(numbers(4), "x.pt")
    np.save("rows.npy", numbers(8).numpy())
    by_weights = analyzed("mlp", "--npy", "rows.npy", "--weights", "weights.pt")
    by_seed = analyzed("mlp", "--npy", "rows.npy", "--seed", "5")
    assert by_weights == by_seed == analyze(model, [numbers(8)])


def test_all_files(capsys):
    kinds = ("html", "png", "json", "csv", "npz")
    files = [word for kind in kinds for word in (f"--{kind}", f"out/new/relus.{kind}")]
    assert cli.main(["analyze", f"{FILE}:mlp", "--random", "4", *files]) == 0
    printed = capsys.readouterr()
    report = Report.load("out/new/relus.npz")
    assert printed.out == f"{report}\n"
    wrote = "".join(f"Wrote out/new/relus.{kind}\n" for kind in kinds)
    assert printed.err == f"{wrote}{FILE}:mlp: 4 samples in 1 batch\n"
    with open("out/new/relus.json") as file:
        assert Report.from_dict(json.load(file)) == report
    with open("out/new/relus.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["call_site"], row["elements"]) for row in rows] == [("1", "32"), ("3", "12")]
    with open("out/new/relus.html") as file:
        assert f"<title>{FILE}:mlp" in file.read()
    with Image.open("out/new/relus.png") as image:
        assert image.size[0] > 500


def test_quiet(capsys):
    analyzed("mlp", "--random", "4", "--quiet")
    assert capsys.readouterr() == ("", "")


def test_live(capsys):
    report = analyzed("mlp", "--random", "4", "--live")
    printed = capsys.readouterr()
    assert printed.out == f"{report}\n"
    assert printed.err == f"Wrote relus.npz\n{FILE}:mlp: 4 samples in 1 batch\n"


def test_an_unreadable_image_among_others(tmp_path, capsys):
    make_images(tmp_path / "photos", [f"{index}.png" for index in range(7)])
    (tmp_path / "photos" / "3.png").write_bytes(b"hello")
    arguments = ["--images", "photos", "--crop", "16", "--batch-size", "2"]
    report = analyzed("UNet", *arguments, "--workers", "0")
    assert report["relu"].elements == 6 * 4 * 16 * 16
    (warning,) = report.warnings
    assert warning.startswith("1 input could not be read, left out: 3.png (UnidentifiedImageError")
    assert f"! {warning}" in capsys.readouterr().out
    for path in (tmp_path / "photos").iterdir():
        path.write_bytes(b"hello")
    error = refused(capsys, f"{FILE}:UNet", *arguments)
    assert "the data must have an input, got none; 7 inputs could not be read" in error


def test_grey_images(tmp_path):
    (tmp_path / "grey.py").write_text(
        "from torch import nn\n"
        "def net(channels=1):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU())\n"
    )
    make_images(tmp_path / "photos", ["1.png"])
    arguments = ["--images", "photos", "--crop", "16", "--npz", "relus.npz"]
    assert cli.main(["analyze", "grey.py:net", *arguments, "--mean", "0.5", "--std", "0.2"]) == 0
    assert cli.main(["analyze", "grey.py:net", *arguments]) == 0
    assert Report.load("relus.npz")["1"].elements == 2 * 14 * 14


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such:model", "--random", "3"], "MODEL: no_such cannot be imported"),
        ([f"{FILE}:no_module", "--random", "3"], "must give an nn.Module, got a str"),
        ([f"{FILE}:mlp"], "must be given by one of --images, --npy, --data, or by --random or"),
        ([f"{FILE}:mlp", "--random", "3", "--npy", "x.npy"], "got --npy and --random"),
        ([f"{FILE}:mlp", "--images", "none"], "--images must be a folder of images, got none"),
        ([f"{FILE}:mlp", "--npy", "none.npy"], "got none.npy, which is no file"),
        (
            [f"{FILE}:mlp", "--data", f"{FILE}:nothing"],
            "must be an iterable of batches, got a int, and no data set",
        ),
        ([f"{FILE}:mlp", "--data", f"{FILE}:broken"], "--data: broken() raised RuntimeError"),
        ([f"{FILE}:mlp", "--data", f"{FILE}:exits"], "exits() raised SystemExit: 0"),
        ([f"{FILE}:exits", "--random", "3"], "exits() raised SystemExit: 0"),
        ([f"{FILE}:mlp", "--data", f"{FILE}:nones"], "does not take a batch of type NoneType"),
        (
            [f"{FILE}:mlp", "--data", f"{FILE}:shuffled", "--batch-size", "3"],
            "makes its own batches",
        ),
        ([f"{FILE}:mlp", "--random", "3", "--crop", "9"], "--crop does not go with --random"),
        ([f"{FILE}:mlp", "--random", "3", "--csv", "a.html"], "--csv must be a file of that kind"),
        (
            [f"{FILE}:mlp", "--random", "3", "--only", "5"],
            "--only and --skip must leave a call site",
        ),
        ([f"{FILE}:mlp", "--data", f"{FILE}:failing"], "cannot be loaded (OSError: the disk is"),
        (
            [f"{FILE}:mlp", "--random", "3", "--weights", "none.pt"],
            "--weights must be a file of weights",
        ),
        ([f"{FILE}:mlp", "--random", "3", "--shape", "5"], "a batch of float32 [3, 5] (Runtime"),
        (
            [f"{FILE}:TwoInputs", "--random", "3"],
            "forward() missing 1 required positional argument",
        ),
        (
            [f"{FILE}:mlp", "--random", "3", "--device", "cuda:77"],
            "--device: the model cannot be on",
        ),
        ([f"{FILE}:mlp", "--random", "3", "--save-every", "60s"], "--resume must name the file"),
        (
            [f"{FILE}:mlp", "--random", "3", "--csv", "a", "--npz", "a"],
            "all files must be different ones, got",
        ),
    ],
)
def test_bad_input(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_a_folder_that_cannot_be_written_is_known_before_the_pass(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = [f"{FILE}:broken", "--random", "3"]
    for path in ("file/relus.html", ".", "/proc/relus.html"):
        error = refused(capsys, *arguments, "--html", path)
        assert f"--html must be a file that can be written, got {path}" in error
    error = refused(capsys, f"{FILE}:mlp", "--random", "3", "--resume", "file/pass.pt")
    assert "--resume must be a file that can be written" in error
    os.mkfifo("pipe.pt")
    error = refused(capsys, f"{FILE}:mlp", "--random", "3", "--resume", "pipe.pt")
    assert "--resume: the file must be one that can be read again, got pipe.pt" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe.pt"]
