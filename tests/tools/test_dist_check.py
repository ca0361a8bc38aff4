"""What make dist says of packages that lack a file, or have one too many."""

import tarfile
import zipfile

import dist_check
import pytest
from repository import ROOT

LIBRARY = "relustat/_C.cpython-311-x86_64-linux-gnu.so"
LICENCE = "relustat-0.1.0.dist-info/licenses/LICENSE"


@pytest.fixture
def wheel(tmp_path):
    def make(names):
        with zipfile.ZipFile(tmp_path / "relustat.whl", "w") as archive:
            for name in sorted(names):
                archive.writestr(name, "")
        return tmp_path / "relustat.whl"

    return make


def right_names():
    return {*dist_check.files_in(ROOT / "relustat"), LIBRARY, LICENCE}


def test_a_right_wheel(wheel):
    assert dist_check.wrong_in_wheel(wheel(right_names())) == set()


@pytest.mark.parametrize(
    "name",
    [
        *("relustat/py.typed", "relustat/_C.pyi", "relustat/stats/bins.py"),
        *("relustat/report/page/vendor/d3.min.js", "relustat/report/page/template/base.html"),
    ],
)
def test_a_wheel_that_lacks_a_file(wheel, name):
    names = right_names()
    names.remove(name)
    assert dist_check.wrong_in_wheel(wheel(names)) == {name}


@pytest.mark.parametrize("name", ["tests/test_setup.py", "relustat/stats/draft.py"])
def test_a_wheel_with_a_file_too_many(wheel, name):
    assert dist_check.wrong_in_wheel(wheel({*right_names(), name})) == {name}


def test_a_wheel_without_a_library_or_a_licence(wheel):
    assert dist_check.wrong_in_wheel(wheel(right_names() - {LIBRARY, LICENCE})) == {
        "one relustat/_C.*.so, got 0",
        "one LICENSE in the metadata, got 0",
    }


@pytest.mark.parametrize("lacks", ["csrc/relu/binning.h", "LICENSE", "relustat/_C.pyi", None])
def test_an_sdist(tmp_path, lacks):
    path = tmp_path / "relustat-0.1.0.tar.gz"
    names = {*dist_check.BESIDE, *(name for each in dist_check.SOURCES for name in files_of(each))}
    with tarfile.open(path, "w:gz") as archive:
        for name in names - {lacks}:
            archive.add(ROOT / name, f"relustat-0.1.0/{name}", recursive=False)
    assert dist_check.missing_from_sdist(path) == {lacks} - {None}


def files_of(folder):
    return dist_check.files_in(ROOT / folder)
