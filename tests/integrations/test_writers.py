"""What tools have stored, read back by their own readers, is what was counted."""

import sys

import pytest
import torch
from logged_models import Net, expected_histograms, steps
from stored_metrics import as_float32, read_tensorboard, read_wandb

import relustat
from relustat.integrations import accelerate, metrics, mlflow, tensorboard, trackio, wandb

pytestmark = pytest.mark.integrations


def test_tensorboard(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    reports = list(steps())
    with SummaryWriter(str(tmp_path)) as writer:
        for step, report in enumerate(reports):
            tensorboard.log(writer, report, step)
    scalars, histograms = read_tensorboard(tmp_path)
    assert scalars == {
        step: as_float32(metrics.scalars(report)) for step, report in enumerate(reports)
    }
    assert histograms == {step: expected_histograms(report) for step, report in enumerate(reports)}


def test_tensorboard_without_bins_and_inputs(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    model = torch.nn.Sequential(torch.nn.ReLU())
    with SummaryWriter(str(tmp_path)) as writer:
        with relustat.watch(model, bins=None) as watch:
            tensorboard.log(writer, watch, 0)
            model(torch.ones(2, 3))
            tensorboard.log(writer, watch, 1)
        with relustat.watch(model) as watch:
            model(torch.full((2, 3), torch.nan))
            tensorboard.log(writer, watch, 2, histograms=True)
    scalars, histograms = read_tensorboard(tmp_path)
    assert histograms == {}
    assert scalars[2]["relustat/0/nans"] == 6


def test_wandb(tmp_path):
    import wandb as library

    reports = list(steps())
    settings = library.Settings(silent=True, console="off")
    with library.init(mode="offline", dir=str(tmp_path), settings=settings) as run:
        for step, report in enumerate(reports):
            wandb.log(run, report, step)
    (file,) = tmp_path.rglob("*.wandb")
    stored = read_wandb(file)
    assert [each.pop("_step") for each in stored] == [0, 1, 2]
    for found, report in zip(stored, reports, strict=True):
        ours = {name: value for name, value in found.items() if name.startswith("relustat/")}
        histograms = expected_histograms(report, 512)
        for name in histograms:
            assert ours.pop(f"{name}/_type") == "histogram"
            assert [ours.pop(f"{name}/{part}") for part in ("values", "bins")] == histograms[name]
        assert ours == metrics.scalars(report)


def test_wandb_takes_any_number_of_bins(tmp_path):
    import wandb as library

    model = torch.nn.Sequential(torch.nn.ReLU())
    with relustat.watch(model, bins=relustat.LinearBins(-4, 4, 2000)) as watch:
        model(torch.linspace(-5, 5, 4000))
    (histogram,) = (
        value for value in wandb.values(watch).values() if isinstance(value, library.Histogram)
    )
    assert len(histogram.histogram) == 500
    assert sum(histogram.histogram) == 4000
    assert set(histogram.bins) <= set(watch.stats["0"].bins.edges.tolist())


def test_trackio(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)  # it reads the folder when it is imported
    import trackio as library
    from trackio.sqlite_storage import SQLiteStorage

    reports = list(steps())
    run = library.init(project="relus", name="first")
    for step, report in enumerate(reports):
        trackio.log(run, report, step)
    library.finish()
    stored = SQLiteStorage.get_logs("relus", "first")
    assert [each["step"] for each in stored] == [0, 1, 2]
    for found, report in zip(stored, reports, strict=True):
        ours = {name: value for name, value in found.items() if name.startswith("relustat/")}
        histograms = expected_histograms(report, 512)
        for name in histograms:
            value = ours.pop(name)
            assert [value["values"], value["bins"]] == histograms[name]
        assert ours == metrics.scalars(report)


def test_mlflow(tmp_path):
    import mlflow as library

    library.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    client = library.MlflowClient()
    experiment = client.create_experiment("relus", artifact_location=tmp_path.as_uri())
    reports = list(steps())
    with library.start_run(experiment_id=experiment) as run:
        for step, report in enumerate(reports):
            mlflow.log(report, step)
        mlflow.log_report(report)
    for step, report in enumerate(reports):
        for name, number in metrics.scalars(report).items():
            stored = client.get_metric_history(run.info.run_id, mlflow.metric_name(name))
            assert [each.value for each in stored if each.step == step] == [number]
    with library.start_run(experiment_id=experiment) as other:
        mlflow.log(reports[0], 7, run_id=run.info.run_id)
    assert client.get_run(other.info.run_id).data.metrics == {}
    path = client.download_artifacts(run.info.run_id, "relustat.json", str(tmp_path))
    assert relustat.Report.load(path) == reports[-1]
    with pytest.raises(ValueError, match=r"file must end in \.json, got 'relus.npz'"):
        mlflow.log_report(reports[0], "relus.npz")


@pytest.mark.filterwarnings("error")
def test_mlflow_takes_any_name(tmp_path):
    import mlflow as library
    from accelerate import Accelerator

    inner = torch.nn.ModuleDict(
        {"a b": torch.nn.ReLU(), "c/": torch.nn.ReLU(), "é": torch.nn.ReLU()}
    )
    model = torch.nn.ModuleDict({"n" * 150: torch.nn.ModuleDict({"m" * 120: inner})})
    with relustat.watch(model) as watch:
        for each in inner.values():
            each(torch.ones(2, 3))
    names = set(metrics.scalars(watch))
    stored = {mlflow.metric_name(name) for name in names}
    assert len(stored) == len(names)
    library.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    with library.start_run() as run:
        mlflow.log(watch, 0)
    assert set(library.get_run(run.info.run_id).data.metrics) == stored
    accelerator = Accelerator(cpu=True, log_with="mlflow")
    accelerator.init_trackers("relus")
    accelerate.log(accelerator, watch, 0)
    (tracker,) = accelerator.trackers
    assert set(library.get_run(tracker.tracker.info.run_id).data.metrics) == stored
    accelerator.end_training()


def test_accelerate(tmp_path):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=str(tmp_path))
    accelerator.init_trackers("relus")
    model = accelerator.prepare(Net())
    with relustat.watch(model) as watch:
        for step in range(3):
            model(torch.randn(16, 4))
            accelerate.log(accelerator, watch, step)
    accelerator.end_training()
    scalars, histograms = read_tensorboard(tmp_path / "relus")
    assert list(scalars) == [0, 1, 2]
    assert scalars[2] == as_float32(metrics.scalars(watch))
    assert histograms[2] == expected_histograms(watch.report())


def test_hist_and_mplhep():
    """They take our histograms as they are."""
    import hist
    import matplotlib as mpl

    mpl.use("agg")
    import mplhep

    *_, report = steps()
    ours = report["net.1"].stats.histogram
    theirs = hist.Hist(ours)
    assert theirs.view(flow=True).tolist() == ours.counts(flow=True).tolist()
    assert theirs.axes[0].edges.tolist() == ours.edges.tolist()
    (drawn,) = mplhep.histplot(ours)
    values = drawn.stairs.get_data()
    assert values.values.tolist() == ours.counts().tolist()
    assert values.edges.tolist() == ours.edges.tolist()
