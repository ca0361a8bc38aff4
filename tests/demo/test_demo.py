"""The command line, as it is typed."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from idx_files import make_idx, write_idx
from PIL import Image

import relustat
from relustat import cli
from relustat.demo import load_images
from relustat.demo import run as demo

FILES = {"histograms.png", "report.csv", "report.html", "report.json", "training.html"}


def test_demo_on_digits(tmp_path, capsys):
    output = tmp_path / "a b" / "out"
    assert cli.main(["demo", "--output", str(output), "--epochs", "2"]) == 0
    printed = capsys.readouterr().out
    for text in ("Before training", "After training", "What changed", "relu1", str(output)):
        assert text in printed
    assert {file.name for file in output.iterdir()} == FILES
    document = json.loads((output / "report.json").read_text())
    before, after = (
        {
            name: relustat.ReLUStats.from_dict(state)
            for name, state in document[when]["call_sites"].items()
        }
        for when in ("before", "after")
    )
    assert list(before) == list(after) == ["relu1", "relu2", "relu3"]
    # 1,438 images of 8x8 pixels, 16 channels; a quarter of the pixels, 32 channels; 64 units.
    assert [stats.elements for stats in after.values()] == [
        1438 * 64 * 16,
        1438 * 16 * 32,
        1438 * 64,
    ]
    for change in document["changes"]:
        name = change["call_site"]
        was, now = (set(stats[name].dead_units.tolist()) for stats in (before, after))
        assert (change["died"], change["revived"]) == (sorted(now - was), sorted(was - now))
    rows = list(csv.DictReader((output / "report.csv").open()))
    assert [(row["when"], row["call_site"]) for row in rows] == [
        (when, name) for when in ("before", "after") for name in after
    ]
    assert float(rows[3]["zero_fraction"]) == after["relu1"].zero_fraction
    with Image.open(output / "histograms.png") as image:
        assert image.size[0] > 500


@pytest.mark.parametrize("compress", [False, True])
def test_demo_on_idx_files(tmp_path, compress):
    make_idx(tmp_path, compress)
    arguments = ["--data", str(tmp_path), "--samples", "70", "--epochs", "1"]
    assert cli.main(["demo", *arguments, "--output", str(tmp_path / "out")]) == 0
    data = load_images(tmp_path, 70)
    assert data.train_images.shape == (70, 1, 28, 28)
    assert data.test_images.shape == (20, 1, 28, 28)
    assert data.train_labels[:12].tolist() == [*range(10), 0, 1]
    assert data.classes == 10


def make_folder(folder, count=6):
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir()
        for index in range(count):
            pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def test_demo_on_an_image_folder(tmp_path):
    images = tmp_path / "pets"
    images.mkdir()
    make_folder(images)
    (images / "cats" / "broken.jpg").write_bytes(b"no picture")
    (images / "cats" / "notes.txt").write_text("no picture either")
    with pytest.warns(UserWarning, match=r"1 images could not be read: broken\.jpg"):
        data = load_images(images, 100)
    assert len(data.train_labels) + len(data.test_labels) == 12
    assert data.train_images.shape[1:] == (3, 32, 32)
    (images / "cats" / "broken.jpg").unlink()
    arguments = ["--data", str(images), "--epochs", "1", "--output", str(tmp_path / "out")]
    assert cli.main(["demo", *arguments]) == 0


@pytest.mark.parametrize(
    "damage",
    ["missing", "cut", "header", "not gzip", "damaged gzip", "labels", "sizes", "tiny"],
)
def test_bad_idx_files(tmp_path, damage, capsys):
    make_idx(tmp_path, compress=True)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    if damage == "missing":
        labels.unlink()
    elif damage == "cut":
        labels.write_bytes(gzip.compress(gzip.decompress(labels.read_bytes())[:-3]))
    elif damage == "header":
        labels.write_bytes(gzip.compress(b"\0\0\x08\x01ab"))
    elif damage == "tiny":
        for prefix, count in (("train", 90), ("t10k", 20)):
            images = tmp_path / f"{prefix}-images-idx3-ubyte.gz"
            write_idx(images, np.zeros((count, 3, 3)), compress=True)
    elif damage == "not gzip":
        labels.write_bytes(b"hello")
    elif damage == "damaged gzip":
        labels.write_bytes(labels.read_bytes()[:12] + bytes(9) + labels.read_bytes()[21:])
    elif damage == "sizes":
        write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((20, 2, 2)), compress=True)
    else:
        write_idx(labels, np.zeros(7), compress=True)
    out = tmp_path / "out"
    assert cli.main(["demo", "--data", str(tmp_path), "--output", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("relustat: --data")
    assert "Traceback" not in error
    assert not out.exists()


def test_bad_folders(tmp_path, capsys):
    assert cli.main(["demo", "--data", str(tmp_path / "none")]) == 2
    assert "must be a folder of images or of IDX files, got" in capsys.readouterr().err
    assert cli.main(["demo", "--data", str(tmp_path)]) == 2
    assert "at least 5 images in 2 or more subfolders" in capsys.readouterr().err


def test_output_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for output in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / "dangling"):
        assert cli.main(["demo", "--output", str(output)]) == 2
        printed = capsys.readouterr()
        assert f"--output must be a folder to write to, got {output}" in printed.err
        # Told before any work was done.
        assert printed.out == ""


def test_an_interrupted_demo_writes_nothing(tmp_path):
    output = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "relustat", "demo", "--epochs", "1000", "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stdout:
        if line.startswith("epoch"):
            break
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip() == "relustat: interrupted"
    assert not output.exists()


def test_an_interrupt_while_writing_leaves_whole_files(tmp_path, monkeypatch):
    demo_options = {"epochs": 1, "samples": 200, "learning_rate": 0.1, "seed": 0}
    demo.run(None, tmp_path, **demo_options)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo.run(None, tmp_path, **{**demo_options, "seed": 1})
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert after.keys() == before.keys() == FILES
    assert after["report.json"] == before["report.json"]


def test_bad_arguments(capsys):
    for arguments in (
        [],
        ["nothing"],
        ["demo", "--epochs", "0"],
        ["demo", "--epochs", "x"],
        ["demo", "--learning-rate", "nan"],
        ["demo", "--learning-rate", "0"],
        ["demo", "--seed", "-1"],
        ["demo", "--seed", "1.5"],
        ["demo", "--output", ""],
        ["demo", "--data", ""],
        ["demo", "--seed", str(2**70)],
    ):
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_and_version(capsys):
    for arguments in (["--help"], ["demo", "--help"], ["info", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        assert exit_.value.code == 0
    assert f"relustat {relustat.__version__}" in capsys.readouterr().out


def test_info(capsys):
    assert cli.main(["info"]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["relustat"].strip() == relustat.__version__
    assert lines["CPU capability"].strip() == torch.backends.cpu.get_cpu_capability()
    assert "no OpenMP" not in lines["threads"]
