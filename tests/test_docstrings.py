"""Every example in the docstrings, the README and the pages of docs/ runs."""

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from optional import needs
from page_blocks import PAGES, programs
from PIL import Image
from repository import ROOT

import relustat

MODULES = [module.name for module in pkgutil.walk_packages(relustat.__path__, "relustat.")]
# make test-integrations runs the examples of the others.
WITHOUT_PACKAGES = [
    name
    for name in MODULES
    if not name.startswith("relustat.integrations.")
    or name.endswith((".metrics", "monitorch", "_writers", "_watched_training"))
]
PROGRAMS = [
    pytest.param(program, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, program in enumerate(programs(page.read_text()))
]


@pytest.mark.parametrize(
    "name", [name for name in WITHOUT_PACKAGES if not name.endswith(("_C", "__main__"))]
)
def test_docstrings(name):
    if name == "relustat.integrations.monitorch":
        needs("monitorch")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_pages(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "page", "exec"), {})


def test_blocks_that_go_on_and_blocks_that_are_left_out():
    page = """
```python
a = 1
```

<!-- goes on -->
```python
b = a
```

<!-- not run: needs two processes -->
```python
stop
```

<!-- any other comment -->
```python
c = 2
```
"""
    assert programs(page) == ["a = 1\nb = a\n", "c = 2\n"]


def test_pages_have_programs():
    assert len(PROGRAMS) > 20


def test_every_public_class_and_function_has_an_example():
    made_by_others = {"Bins", "Report", "Watch", "ActivationPatterns", "Hypercolumns", "Patch"}
    made_by_others |= {"Rates", "ReceptiveField", "StrongestActivations", "SwitchInspection"}
    made_by_others |= {"Worst"}
    for package in (relustat, relustat.analysis):
        for name in set(package.__all__) - made_by_others:
            thing = getattr(package, name)
            assert not callable(thing) or ">>> " in thing.__doc__, name


@pytest.mark.parametrize("processes", [1, 2])
def test_distributed_imagenet(tmp_path, processes):
    """11 images, 2 epochs, batches of 4: the report of all processes is exact."""
    pixels = np.random.default_rng(0)
    for index in range(11):
        folder = tmp_path / "images" / f"class{index % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        image = pixels.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{index}.png")
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    result = subprocess.run(
        [
            *(sys.executable, *(launch if processes > 1 else [])),
            *(ROOT / "examples" / "distributed_imagenet.py", tmp_path / "images"),
            *("--epochs=2", "--batch-size=4", "--size=64", "--workers=1"),
            f"--output={tmp_path / 'stats.npz'}",
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    report = relustat.Report.load(tmp_path / "stats.npz")
    assert result.stdout.count(str(report)) == 1
    # One process sees 11 images an epoch, in 3 steps; two see 6 each, in 2: one image is repeated.
    images, calls = {1: (2 * 11, 2 * 3), 2: (2 * 2 * 6, 2 * 2 * 2)}[processes]
    maps = {"relu": 32 * 32 * 32}
    for block, (channels, side) in enumerate([(32, 16), (64, 8), (128, 4), (256, 2)], 1):
        maps[f"block{block}.relu"] = maps[f"block{block}.relu_1"] = channels * side**2
    assert {name: stats.elements for name, stats in report.stats.items()} == {
        name: images * elements for name, elements in maps.items()
    }
    for stats in report.stats.values():
        assert stats.calls == calls
        assert stats.histogram.sum(flow=True) + stats.nans == stats.elements
