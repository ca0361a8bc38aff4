"""Which PyTorch an extension serves, and what is said of one that does not."""

import sys
from pathlib import Path

import pytest
import torch

from relustat import _C, _extension


def test_a_library_names_its_pytorch():
    built = _extension.built_for(Path(_C.__file__))
    assert built == _C.build_info()["torch"]
    assert _extension.minor_version(built) == _extension.minor_version(torch.__version__)


def test_a_file_that_names_none(tmp_path):
    (tmp_path / "library.so").write_bytes(b"\x7fELF, and no name")
    assert _extension.built_for(tmp_path / "library.so") is None


@pytest.mark.parametrize(
    ("version", "minor"),
    [("2.13.0", (2, 13)), ("2.11.0+cu130", (2, 11)), ("2.14.0a0+git0f1e2d3", (2, 14))],
)
def test_minor_version(version, minor):
    assert _extension.minor_version(version) == minor


def test_another_pytorch(monkeypatch):
    built = _C.build_info()["torch"]
    monkeypatch.setattr(torch, "__version__", "2.99.1+cu130")
    with pytest.raises(ImportError) as error:
        _extension.load()
    assert str(error.value) == (
        "relustat: the compiled extension must be built for the PyTorch that runs, got one for "
        f"PyTorch {built}, and PyTorch 2.99.1+cu130; build it again with "
        "`pip install --no-build-isolation -e .`"
    )


def test_another_patch_version(monkeypatch):
    major, minor = _extension.minor_version(torch.__version__)
    monkeypatch.setattr(torch, "__version__", f"{major}.{minor}.99")
    assert _extension.load() is _C


@pytest.mark.parametrize("version", ["2.10.1", "1.13.1+cu117"])
def test_an_old_pytorch(monkeypatch, version):
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(ImportError) as error:
        _extension.load()
    assert str(error.value) == f"relustat: PyTorch must be 2.11 or later, got PyTorch {version}"


def test_without_a_library(monkeypatch):
    """As after a checkout, or with another Python. Nothing else serves instead."""
    monkeypatch.setattr(_extension, "_path", lambda: None)
    monkeypatch.delattr("relustat._C")
    monkeypatch.setitem(sys.modules, "relustat._C", None)
    with pytest.raises(ImportError) as error:
        _extension.load()
    assert str(error.value).startswith(
        "relustat: the compiled extension is missing, or was built for another Python; build it "
        "again with `pip install --no-build-isolation -e .` ("
    )


def test_a_library_that_does_not_load(monkeypatch, tmp_path):
    library = tmp_path / "_C.so"
    library.write_bytes(b"\x7fELF relustat: built for PyTorch 2.99.0\0")
    monkeypatch.setattr(_extension, "_path", lambda: library)
    monkeypatch.delattr("relustat._C")
    monkeypatch.setitem(sys.modules, "relustat._C", None)
    with pytest.raises(ImportError, match=r"got one for PyTorch 2\.99\.0, and PyTorch ") as error:
        _extension.load()
    assert isinstance(error.value.__cause__, ImportError)
