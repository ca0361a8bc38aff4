"""A writer that fails stops no training, and a missing package says what to install."""

import importlib
import sys
import warnings

import pytest
from logged_models import steps

from relustat.integrations import _writers, accelerate, tensorboard


@pytest.fixture(autouse=True)
def _none_failed_yet(monkeypatch):
    monkeypatch.setattr(_writers, "_failed", {})


class FullDisk:
    def __init__(self):
        self.calls = 0

    def add_scalar(self, *_):
        self.calls += 1
        raise OSError(28, "No space left on device")

    add_histogram_raw = add_scalar


def test_one_warning_for_all_failures():
    writer = FullDisk()
    said = "tensorboard failed, and training goes on without it. OSError: .* No space left"
    first, *others = steps()
    with pytest.warns(UserWarning, match=said) as caught:
        tensorboard.log(writer, first, 0)
    for step, report in enumerate(others, 1):
        tensorboard.log(writer, report, step)  # a second warning would be an error
    assert caught[0].filename == __file__
    assert writer.calls == 3


def test_other_writers_and_other_failures_have_a_warning_each():
    report = next(steps())
    for _ in range(2):
        with pytest.warns(UserWarning, match="tensorboard failed"):
            tensorboard.log(FullDisk(), report, 0)
    writer = FullDisk()
    with pytest.warns(UserWarning, match="No space left"):
        tensorboard.log(writer, report, 0)
    writer.add_scalar = None
    with pytest.warns(UserWarning, match="TypeError"):
        tensorboard.log(writer, report, 0)

    class Slots:
        __slots__ = ()

        def log(self, *_, **__):
            raise OSError

    with _writers.going_on_without("a name"):
        pass
    slots = Slots()
    with (
        pytest.warns(UserWarning, match="a name failed"),
        _writers.going_on_without("a name", slots),
    ):
        slots.log()
    with _writers.going_on_without("a name", slots):
        slots.log()


@pytest.mark.parametrize("step", ["x", 1.5, None, True])
def test_steps_that_are_none(step):
    with pytest.raises(ValueError, match=r"tensorboard.log: step must be an integer, got"):
        tensorboard.log(FullDisk(), next(steps()), step)


def test_ctrl_c_is_not_a_failure():
    class Interrupted(FullDisk):
        def add_scalar(self, *_):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tensorboard.log(Interrupted(), next(steps()), 0)


def test_what_is_no_writer_is_an_error():
    report = next(steps())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rule = "tensorboard.log: writer must be a SummaryWriter, got 'runs'"
        with pytest.raises(TypeError, match=rule):
            tensorboard.log("runs", report, 0)
        with pytest.raises(TypeError, match=r"tensorboard.log: counts must be a Watch or a Report"):
            tensorboard.log(FullDisk(), 3, 0)
        rule = "accelerate.log: accelerator must be an Accelerator, got 'runs'"
        with pytest.raises(TypeError, match=rule):
            accelerate.log("runs", report, 0)


class AnyRun:
    def log(self, *_, **__):
        raise AssertionError


@pytest.mark.parametrize("name", ["lightning", "transformers", "torchmetrics"])
def test_missing_at_the_import(name, monkeypatch):
    for package in (name, "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"relustat.integrations.{name}", raising=False)
    says = rf"relustat.integrations.{name} needs {name}.*pip install 'relustat\[{name}\]'"
    with pytest.raises(ImportError, match=says):
        importlib.import_module(f"relustat.integrations.{name}")


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_missing_at_the_call(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    module = importlib.import_module(f"relustat.integrations.{name}")
    arguments = (next(steps()), 0) if name == "mlflow" else (AnyRun(), next(steps()))
    says = rf"relustat.integrations.{name} needs {name}.*pip install 'relustat\[{name}\]'"
    with pytest.raises(ImportError, match=says):
        module.log(*arguments)
