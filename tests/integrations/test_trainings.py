"""Trainers' loggers and checkpoints have the counts of what ``training_step`` has called."""

import copy
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
    # The steps are those of the loss.
    assert [(int(row["step"]), float(row["relustat/relu/calls"])) for row in logged] == [
        *((4, 5), (9, 10), (14, 15), (15, 16)),
    ]
    for name, number in scalars(callback.watch).items():
        assert float(logged[-1][name]) == number


@pytest.mark.filterwarnings("ignore")
def test_lightning_gives_tensorboard_histograms(tmp_path):
    callback = watch_callback(every=8)
    fit(PACKAGES[0], callback, tmp_path, "TensorBoardLogger", enable_checkpointing=False)
    (folder,) = {path.parent for path in tmp_path.rglob("events.*")}
    numbers, histograms = read_tensorboard(folder)
    ours = {name: value for name, value in numbers[15].items() if name.startswith("relustat/")}
    assert ours == as_float32(scalars(callback.watch))
    assert histograms[15] == expected_histograms(callback.watch.report())
    assert set(histograms) == {7, 15}


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
def test_transformers_prints_no_numbers(tmp_path, capsys):
    from relustat.integrations.transformers import watch_trainer

    trainer = trainer_of(tmp_path, DATA)
    watch_trainer(trainer)
    trainer.train()
    printed = capsys.readouterr().out
    assert "'loss'" in printed
    assert "relustat/" not in printed


@pytest.mark.filterwarnings("ignore")
def test_transformers_goes_on_from_a_checkpoint(tmp_path):
    from relustat.integrations.transformers import WatchCallback

    whole = WatchCallback()
    trainer = trainer_of(tmp_path, DATA, callbacks=[whole])
    trainer.train()
    part = WatchCallback()
    again = trainer_of(tmp_path, DATA, callbacks=[part])
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert part.watch.stats == whole.watch.stats
    assert part.watch.stats["relu"].calls == 16
    # The trainer that has counted these steps does not count them twice.
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert whole.watch.stats == part.watch.stats
    assert [span.first for span in whole.watch.history.spans] == [1, 2]


@pytest.mark.filterwarnings("ignore")
def test_transformers_after_an_error(tmp_path):
    from relustat.integrations.transformers import WatchCallback

    trainer = trainer_of(tmp_path, DATA, callbacks=[WatchCallback()])
    forward = trainer.model.net.forward

    def fails(x):
        raise RuntimeError("diverged")

    trainer.model.net.forward = fails
    with pytest.raises(RuntimeError, match="diverged"):
        trainer.train()
    trainer.model.net.forward = forward
    again, callback = trainer_of(tmp_path, DATA), WatchCallback()
    again.model = again.model_wrapped = trainer.model
    again.add_callback(callback)
    again.train()
    assert callback.watch.stats["relu"].calls == 16


@pytest.mark.filterwarnings("ignore")
def test_a_new_model_is_counted_anew(tmp_path):
    from relustat.integrations.transformers import WatchCallback

    callback = WatchCallback()
    for _ in range(2):
        trainer_of(tmp_path, DATA, callbacks=[callback]).train()
        assert callback.watch.stats["relu"].calls == 16
    lightning = watch_callback()
    for _ in range(2):
        fit(PACKAGES[0], lightning, tmp_path, enable_checkpointing=False)
        assert lightning.watch.stats == plain_counts()


@pytest.mark.filterwarnings("ignore")
def test_lightning_tests_and_trains_again(tmp_path):
    callback = watch_callback()
    model, trainer = fit(PACKAGES[0], callback, tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    model.test_step = model.validation_step
    trainer.test(model, model.train_dataloader(), ckpt_path=str(tmp_path / "a.ckpt"))
    trainer.validate(model, ckpt_path=str(tmp_path / "a.ckpt"))
    assert callback.watch.stats["relu"].calls == 8
    trainer.fit_loop.max_epochs = 2
    trainer.fit(model)
    assert callback.watch.stats["relu"].calls == 16
    assert [span.first for span in callback.watch.history.spans] == [0, 1]
    copied = copy.deepcopy(callback)
    assert copied.state_dict()["watch"].keys() == callback.state_dict()["watch"].keys()


@pytest.mark.filterwarnings("ignore")
def test_lightning_goes_on_when_the_watch_or_a_logger_ends(tmp_path):
    library = importlib.import_module(PACKAGES[0])

    class Broken(library.loggers.TensorBoardLogger):
        is_full = False

        @property
        def experiment(self):
            if self.is_full:
                raise OSError(28, "No space left on device")
            return super().experiment

        def log_metrics(self, *_, **__):
            pass

        log_hyperparams = log_graph = save = finalize = log_metrics

    class Closes(library.Callback):
        def on_train_batch_start(self, *arguments):
            trainer, module, _, index = arguments
            trainer.logger.is_full = True
            if index == 5:
                relustat.unwatch(module)

    callback = watch_callback(every=2)
    model = lightning_model(library.LightningModule, DATA)
    trainer = library.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[Closes(), callback],
        logger=Broken(str(tmp_path)),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model)
    said = [str(each.message) for each in caught if "goes on without it" in str(each.message)]
    assert said == [
        "relustat: Lightning's Broken failed, and training goes on without it. "
        "OSError: [Errno 28] No space left on device"
    ]
    assert callback.watch.stats["relu"].calls == 5


def test_lightning_options():
    with pytest.raises(TypeError, match="bin"):
        watch_callback(bin=3)


@pytest.mark.filterwarnings("ignore")
def test_transformers_takes_no_counts_of_another_training(tmp_path):
    from relustat.integrations.transformers import WatchCallback

    for name, steps in (("a", 8), ("b", 4)):
        trainer = trainer_of(tmp_path / name, DATA, callbacks=[WatchCallback()])
        trainer.args.logging_steps = steps
        trainer.train()
    again, callback = trainer_of(tmp_path / "b", DATA), WatchCallback()
    again.add_callback(callback)
    with pytest.warns(UserWarning, match="must hold the counts of the training that goes on"):
        again.train(resume_from_checkpoint=str(tmp_path / "a/checkpoint-8"))
    assert callback.watch.stats["relu"].calls == 8


@pytest.mark.filterwarnings("ignore")
def test_a_state_that_does_not_fit_is_not_asked_again(tmp_path):
    from relustat.integrations.transformers import WatchCallback

    trainer_of(tmp_path, DATA, callbacks=[WatchCallback()]).train()
    callback = WatchCallback(bins=None)
    trainer = trainer_of(tmp_path, DATA, callbacks=[callback])
    with pytest.raises(ValueError, match="bins must be"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    trainer.train()
    assert callback.watch.stats["relu"].calls == 16


def test_one_callback_a_trainer(tmp_path):
    from relustat.integrations.transformers import WatchCallback, watch_trainer

    trainer = trainer_of(tmp_path, DATA)
    watch_trainer(trainer)
    with pytest.raises(ValueError, match="a trainer must have one WatchCallback"):
        watch_trainer(trainer)
    trainer.remove_callback(WatchCallback)
    watch_trainer(trainer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stepping", [4, 100])
def test_lightning_logs_in_manual_optimisation(stepping, tmp_path):
    library = importlib.import_module(PACKAGES[0])
    model = lightning_model(library.LightningModule, DATA)
    model.automatic_optimization = False
    step = model.training_step

    def by_hand(batch, batch_idx):
        model.manual_backward(step(batch))
        if batch_idx % stepping == stepping - 1:
            model.optimizers().step()

    model.training_step = by_hand
    callback = watch_callback(every=3)
    trainer = library.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[callback],
        logger=library.loggers.CSVLogger(str(tmp_path)),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model)
    (path,) = tmp_path.rglob("metrics.csv")
    logged = [row for row in csv.DictReader(path.open()) if row["relustat/relu/calls"]]
    assert [(int(row["step"]), float(row["relustat/relu/calls"])) for row in logged] == [
        (index, index + 1) for index in (2, 5, 8, 11, 14, 15)
    ]


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
