"""relustat's counts in MLflow (https://mlflow.org)."""

from __future__ import annotations

import hashlib
import posixpath
import re

from relustat._checks import as_integer
from relustat._optional import import_optional
from relustat.report.report import Report
from relustat.watching.handle import Watch

from ._writers import going_on_without
from .metrics import report_of, scalars

__all__ = ["log", "log_report", "metric_name"]

_NEEDS = "relustat.integrations.mlflow"
# MLflow allows all others, and the colon, which stands before and behind the number of such a one.
_NOT_ALLOWED = re.compile(r"[^\w. /-]", re.ASCII)
_LONGEST = 250


def metric_name(name: str) -> str:
    """A name of :mod:`relustat.integrations.metrics` as MLflow allows it.

    A character that it does not allow becomes its number in hexadecimal digits between colons. So
    does a slash within the name of a call site, if the whole would be no plain path. What is longer
    than MLflow allows ends in a hash. So two names stay two.

    Example:
        >>> from relustat.integrations.mlflow import metric_name
        >>> metric_name("relustat/relu after (model)/dead")
        'relustat/relu after :28:model:29:/dead'
    """
    found = _NOT_ALLOWED.sub(_number, name)
    if posixpath.normpath(found) != found:
        first, *within, last = found.split("/")
        found = "/".join([first, ":2f:".join(within).replace(".", ":2e:"), last])
    if len(found) > _LONGEST:
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
        found = f"{found[: _LONGEST - 17]}:{digest}"
    return found


def _number(character: re.Match[str]) -> str:
    return f":{ord(character[0]):x}:"


def log(counts: Watch | Report, step: int, *, run_id: str | None = None) -> None:
    """Logs all numbers as metrics, by :func:`metric_name`. MLflow has no histograms.

    If MLflow fails to take them, there is one warning, and training goes on.

    Args:
        counts: a watch, or a report.
        step: the step of the training.
        run_id: the run; None: the active one, or a new one if there is none.

    Raises:
        ImportError: if mlflow is missing.
        TypeError: if ``counts`` is something else.
        ValueError: if ``step`` is no integer.

    Example:
        >>> import mlflow, tempfile, torch, relustat
        >>> from relustat.integrations import mlflow as relustat_mlflow
        >>> folder = tempfile.TemporaryDirectory()
        >>> mlflow.set_tracking_uri(f"sqlite:///{folder.name}/runs.db")
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> with relustat.watch(model) as watch, mlflow.start_run() as run:
        ...     _ = model(torch.randn(16, 4))
        ...     relustat_mlflow.log(watch, step=0)
        >>> mlflow.get_run(run.info.run_id).data.metrics["relustat/1/units"]
        8.0
        >>> folder.cleanup()
    """
    mlflow = import_optional("mlflow", "mlflow", _NEEDS)
    step = as_integer("mlflow.log: step", step)
    numbers = {metric_name(name): number for name, number in scalars(counts).items()}
    with going_on_without("mlflow"):
        mlflow.log_metrics(numbers, step=step, run_id=run_id)


def log_report(
    counts: Watch | Report, file: str = "relustat.json", *, run_id: str | None = None
) -> None:
    """Logs all counts as an artifact, which :meth:`relustat.Report.load` reads.

    It is one deliberate call, so an error of MLflow is raised.

    Args:
        counts: a watch, or a report.
        file: its path in the run; the name ends in ``.json``.
        run_id: the run; None: the active one, or a new one if there is none.

    Raises:
        ImportError: if mlflow is missing.
        TypeError: if ``counts`` is something else.
        ValueError: if the name of the file ends otherwise.
    """
    mlflow = import_optional("mlflow", "mlflow", _NEEDS)
    if not file.endswith(".json"):
        raise ValueError(f"mlflow.log_report: file must end in .json, got {file!r}")
    state = report_of("mlflow.log_report", counts).to_dict()
    mlflow.log_dict(state, file, run_id=run_id)
