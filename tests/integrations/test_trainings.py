"""Trainers' loggers and checkpoints have the counts of what ``training_step`` has called."""

import csv
import importlib
import json
import os
import subprocess
import sys
import warnings

import pytest
import torch
from logged_models import expected_histograms, lightning_model, trainer_of
from repository import ROOT
from stored_metrics import as_float32, read_tensorboard

import relustat
from relustat.integrations.metrics import scalars

pytestmark = pytest.mark.integrations
PACKAGES = ("lightning.pytorch", "pytorch_lightning")
DATA = torch.linspace(-1, 1, 64 * 4).reshape(64, 4)


def watch_callback(**options):
    from relustat.integrations.lightning import WatchCallback

    return WatchCallback(**options)


def fit(package, callback, folder, logger=None, epochs=2, **options):
    library = importlib.import_module(package)
    loggers = importlib.import_module(f"{package}.loggers")
    model = lightning_model(library.LightningModule, DATA)
    trainer = library.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[callback],
        default_root_dir=str(folder),
        logger=getattr(loggers, logger)(str(folder), name="relus") if logger else False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
        **options,
    )
    trainer.fit(model)
    return model, trainer


def plain_counts():
    """Those of a loop that does the same by hand."""
    model = lightning_model(torch.nn.Module, DATA)
    model.log = lambda *_: None
    optimizer = model.configure_optimizers()
    with relustat.watch(model) as watch, watch.counting():
        for _ in range(2):
            for batch in model.train_dataloader():
                optimizer.zero_grad()
                model.training_step(batch).backward()
                optimizer.step()
    return watch.stats


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", PACKAGES)
def test_lightning_counts_training_steps_alone(package, tmp_path):
    callback = watch_callback(every=5)
    model, _ = fit(package, callback, tmp_path, "CSVLogger", enable_checkpointing=False)
    stats = callback.watch.stats
    assert stats == plain_counts()
    assert set(stats) == {"relu", "part.net.1", "part.head.(a): b.0"}
    assert not callback.watch.is_open
    assert not model.part.net[1]._forward_hooks
    assert [span.first for span in callback.watch.history.spans] == [0, 1]
    (path,) = tmp_path.rglob("metrics.csv")
    logged = [row for row in csv.DictReader(path.open()) if row["relustat/relu/calls"]]
    assert [(int(row["step"]), float(row["relustat/relu/calls"])) for row in logged] == [
        *((5, 5), (10, 10), (15, 15), (16, 16)),
    ]
    for name, number in scalars(callback.watch).items():
        assert float(logged[-1][name]) == number


@pytest.mark.filterwarnings("ignore")
def test_lightning_gives_tensorboard_histograms(tmp_path):
    callback = watch_callback(every=8)
    fit(PACKAGES[0], callback, tmp_path, "TensorBoardLogger", enable_checkpointing=False)
    (folder,) = {path.parent for path in tmp_path.rglob("events.*")}
    numbers, histograms = read_tensorboard(folder)
    ours = {name: value for name, value in numbers[16].items() if name.startswith("relustat/")}
    assert ours == as_float32(scalars(callback.watch))
    assert histograms[16] == expected_histograms(callback.watch.report())
    assert set(histograms) == {8, 16}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", PACKAGES)
def test_lightning_goes_on_from_a_checkpoint(package, tmp_path):
    library = importlib.import_module(package)
    first = watch_callback()
    _, trainer = fit(package, first, tmp_path, epochs=1)
    path = str(tmp_path / "first.ckpt")
    trainer.save_checkpoint(path)
    second = watch_callback()
    model = lightning_model(library.LightningModule, DATA)
    trainer = library.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[second],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, ckpt_path=path)
    assert second.watch.stats == plain_counts()
    assert len(second.watch.history.spans) == 2


@pytest.mark.filterwarnings("ignore")
def test_lightning_ends_the_watch_if_training_fails(tmp_path):
    callback = watch_callback()
    library = importlib.import_module(PACKAGES[0])

    class Fails(library.Callback):
        def on_before_backward(self, *_):
            raise RuntimeError("diverged")

    model = lightning_model(library.LightningModule, DATA)
    trainer = library.Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[callback, Fails()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.raises(RuntimeError, match="diverged"):
        trainer.fit(model)
    assert not callback.watch.is_open
    assert callback.watch.stats["relu"].calls == 1
    with relustat.watch(model):
        pass


def test_lightning_arguments():
    with pytest.raises(ValueError, match="every must be None or an integer of at least 1, got 0"):
        watch_callback(every=0)
    with pytest.raises(ValueError, match="no training has begun"):
        _ = watch_callback().watch


@pytest.mark.filterwarnings("ignore")
def test_transformers_logs_with_the_loss(tmp_path):
    from relustat.integrations.transformers import WatchCallback

    callback = WatchCallback()
    trainer = trainer_of(tmp_path, DATA, callbacks=[callback])
    trainer.train()
    assert not callback.watch.is_open
    assert callback.watch.stats["relu"].calls == 16
    assert [span.first for span in callback.watch.history.spans] == [1, 2]
    (path,) = tmp_path.glob("checkpoint-16/trainer_state.json")
    logged = [
        each for each in json.loads(path.read_text())["log_history"] if "relustat/dead" in each
    ]
    assert [(each["step"], each["relustat/relu/calls"]) for each in logged] == [
        *((4, 4), (8, 8), (12, 12), (16, 16)),
    ]
    numbers = scalars(callback.watch)
    assert {name: logged[-1][name] for name in numbers} == numbers
    trainer.train()
    assert callback.watch.stats["relu"].calls == 32
    assert [span.first for span in callback.watch.history.spans] == [1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore")
def test_transformers_reports_to_tensorboard(tmp_path, monkeypatch):
    from relustat.integrations.transformers import watch_trainer

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    trainer = trainer_of(tmp_path, DATA, "tensorboard")
    callback = watch_trainer(trainer)
    trainer.train()
    (folder,) = {path.parent for path in tmp_path.rglob("events.*")}
    numbers, _ = read_tensorboard(folder)
    assert {
        step: each["train/relustat/relu/calls"]
        for step, each in numbers.items()
        if "train/relustat/dead" in each
    } == {4: 4, 8: 8, 12: 12, 16: 16}
    ours = {f"train/{name}": number for name, number in scalars(callback.watch).items()}
    assert {name: numbers[16][name] for name in ours} == as_float32(ours)
    assert "train/loss" in numbers[16]


@pytest.mark.filterwarnings("ignore")
def test_transformers_goes_on_without_a_reporter_that_fails(tmp_path, monkeypatch):
    from transformers.integrations import TensorBoardCallback

    from relustat.integrations import _writers
    from relustat.integrations.transformers import watch_trainer

    monkeypatch.setattr(_writers, "_failed", set())
    on_log = TensorBoardCallback.on_log

    def fails(self, args, state, control, logs=None, **kwargs):
        if "relustat/dead" in logs:
            raise OSError(28, "No space left on device")
        return on_log(self, args, state, control, logs=logs, **kwargs)

    monkeypatch.setattr(TensorBoardCallback, "on_log", fails)
    trainer = trainer_of(tmp_path, DATA, "tensorboard")
    callback = watch_trainer(trainer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train()
    said = [str(each.message) for each in caught if "goes on without it" in str(each.message)]
    assert said == [
        "relustat: transformers' TensorBoardCallback failed, and training goes on without it. "
        "OSError: [Errno 28] No space left on device"
    ]
    assert callback.watch.stats["relu"].calls == 16


def test_transformers_arguments():
    from relustat.integrations.transformers import watch_trainer

    with pytest.raises(TypeError, match="watch_trainer: trainer must be a Trainer, got str"):
        watch_trainer("trainer")


@pytest.mark.parametrize("kind", ["lightning", "transformers", "accelerate"])
def test_two_processes_log_their_sum(kind, tmp_path):
    helpers = ROOT / "tests/helpers"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node=2", helpers / "trainings_worker.py", kind, tmp_path),
        ],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(helpers)]),
            "ACCELERATE_USE_CPU": "true",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == {"calls": 8 if kind == "accelerate" else 16, "report": found["calls"]}
