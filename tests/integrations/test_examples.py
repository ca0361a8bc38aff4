"""The examples of docs/integrations.md, and of the docstrings, run with the packages themselves."""

import doctest
import importlib

import pytest
from page_blocks import left_out, programs
from repository import ROOT

pytestmark = pytest.mark.integrations
PAGE = (ROOT / "docs/integrations.md").read_text()
BLOCKS = dict(left_out(PAGE))
MODULES = ["tensorboard", "wandb", "mlflow", "accelerate", "lightning", "torchmetrics"]


def test_each_tool_has_an_example():
    tools = [*MODULES, "trackio", "transformers"]
    assert sorted(BLOCKS) == sorted(f"needs {tool}" for tool in tools)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("needs", BLOCKS)
def test_the_page(needs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    model, *_ = programs(PAGE)
    exec(compile(model + BLOCKS[needs], "page", "exec"), {})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(f"relustat.integrations.{name}"))
    assert found.failed == 0
    assert found.attempted > 0
