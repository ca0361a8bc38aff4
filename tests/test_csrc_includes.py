"""What the files of csrc include: kernels and the arithmetic they share know no PyTorch."""

import re

from repository import ROOT

CSRC = ROOT / "csrc"
INCLUDE = re.compile(r'^#include ["<](.*)[">]$', re.MULTILINE)

# Those of the shared headers that say what tensors are.
OF_TENSORS = {"checks.h", "tensors.h", "dense_relu.h", "dtype_of.h", "family_arguments.h"}


def includes(path):
    return INCLUDE.findall(path.read_text())


def files(folder, *endings):
    return [path for path in (CSRC / folder).rglob("*") if path.suffix in endings]


def is_of_torch(include):
    return include.startswith(("ATen/", "c10/", "torch/"))


def reached(path):
    """All that comes with a file."""
    found, left = set(), [path]
    while left:
        for include in includes(left.pop()):
            if include not in found:
                found.add(include)
                if (CSRC / include).exists():
                    left.append(CSRC / include)
    return found


def test_ours_are_named_from_the_root_of_csrc():
    ours = [
        (path, each)
        for path in files("", ".h", ".cuh", ".cpp", ".cu")
        for each in re.findall(r'^#include "(.*)"$', path.read_text(), re.MULTILINE)
    ]
    assert len(ours) > 200
    assert [(path.name, each) for path, each in ours if not (CSRC / each).is_file()] == []


def test_shared_headers_need_no_torch():
    shared = [
        path for room in ("common", "relu", "pool", "activation") for path in files(room, ".h")
    ]
    assert len(shared) > 15
    for path in shared:
        needs_torch = any(map(is_of_torch, reached(path)))
        assert needs_torch == (path.name in OF_TENSORS), path


def test_kernels_need_no_torch():
    kernels = [*files("cpu/kernels", ".h", ".cpp"), *files("cuda", ".cuh")]
    # What puts a kernel on PyTorch's stream.
    kernels = [path for path in kernels if not path.name.endswith("_launch.cuh")]
    assert len(kernels) > 50
    assert [path.name for path in kernels if any(map(is_of_torch, reached(path)))] == []


def test_shared_headers_know_no_device():
    for path in [
        path for room in ("common", "relu", "pool", "activation") for path in files(room, ".h")
    ]:
        assert not any(each.startswith(("cpu/", "cuda/")) for each in reached(path)), path
