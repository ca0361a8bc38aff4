"""Archives that claim what they are not: an error, before memory is filled."""

import copy
import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from relustat import LinearBins, Report
from relustat.functional import relu_stats
from relustat.history import History
from relustat.stats import archive, npz
from relustat.stats.archive import Archive

MB = 2**20
SITE = {"name": "fc", "version": 1, "bins": LinearBins(-1, 1, 2).to_dict()}
SITE["widths"] = {"3": {"calls": 1, "elements": 3}}
TEXT = json.dumps({"version": 1, "sites": [SITE]})
COUNTS = {"zeros": [0, 0, 0], "dead_calls": [0, 0, 0], "slots": [[0, 0, 0, 3, 0]]}


def header(shape, dtype="<i8"):
    file = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def member_of(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array(array))
    return file.getvalue()


def write(path, members, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as file:
        for name, data in members.items():
            with file.open(f"{name}.npy", "w") as member:
                for chunk in data if isinstance(data, list) else [data]:
                    member.write(chunk)


def members(**others):
    written = {"relustat": member_of(TEXT)}
    written |= {f"0/3/{name}": member_of(each) for name, each in COUNTS.items()}
    return written | {name.replace("_of_", "/3/"): each for name, each in others.items()}


def test_what_is_right(tmp_path):
    path = tmp_path / "stats.npz"
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        write(path, members(), packing)
        stats = Report.load(path).stats["fc"]
        assert stats.histogram.counts(flow=True).tolist() == [0, 0, 0, 3]
        assert (stats.elements, stats.calls, stats.zeros) == (3, 1, 0)
    columns = np.asfortranarray(np.arange(6).reshape(2, 3))
    np.savez_compressed(tmp_path / "columns.npz", a=columns, b=columns.astype(">i8"))
    with open(tmp_path / "columns.npz", "rb") as file:
        read = Archive(file)
        for name in ("a", "b"):
            found = read.integers(name, (2, 3))
            assert found.tolist() == columns.tolist()
            assert found.dtype == np.int64
            assert found.dtype.isnative


ZEROS = [bytes(MB)] * 80

BOMBS = {
    "an array of another shape": members(**{"0_of_zeros": [header((10 * MB,)), *ZEROS]}),
    "histograms of more units": members(**{"0_of_slots": [header((2 * MB, 5)), *ZEROS]}),
    "floats": members(**{"0_of_zeros": [header((10 * MB,), "<f8"), *ZEROS]}),
    "more than its header says": members(**{"0_of_zeros": [header((3,)), *ZEROS]}),
    "a long text": members(relustat=[header((), f"<U{20 * MB}"), *ZEROS]),
    "a long header": members(relustat=[b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\x0f", *ZEROS]),
    "a header of another version": members(
        **{"0_of_zeros": [b"\x93NUMPY\x02\x00\xff" * 2, *ZEROS]}
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_of_archives(kind, tmp_path):
    """80 MB in 0.1 MB: 16 MB are never taken."""
    path = tmp_path / "bomb.npz"
    write(path, BOMBS[kind])
    assert path.stat().st_size < 0.1 * MB
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.npz must be a relustat stats file"):
        Report.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MB


def test_bombs_of_histories(tmp_path):
    path = tmp_path / "bomb.npz"
    text = member_of(json.dumps({"version": 1, "limit": 3, "windows": []}))
    write(path, {"relustat": text, "counts": [header((10 * MB,)), *ZEROS]})
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.npz must be a relustat history file"):
        History.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MB


def test_bombs_of_bins(tmp_path):
    """Bins that hold nothing, of 0.5 MB each."""
    sites = [
        {"name": str(index), "bins": LinearBins(index, 2 * index + 9e4, 65000).to_dict()}
        for index in range(300)
    ]
    text = json.dumps({"version": 1, "sites": [{**site, "widths": {}} for site in sites]})
    write(tmp_path / "bomb.npz", {"relustat": member_of(text)})
    tracemalloc.start()
    assert len(Report.load(tmp_path / "bomb.npz")) == 300
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MB


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(packing, tmp_path):
    """What they inflate cannot be bounded."""
    write(tmp_path / "stats.npz", members(), packing)
    with pytest.raises(ValueError, match="must be a relustat stats file"):
        Report.load(tmp_path / "stats.npz")


def test_members_that_lie_about_their_sizes(tmp_path):
    for field, value in [
        ("file_size", 152 - 8),
        ("file_size", 152 + 8),
        ("file_size", 2**40),
        ("compress_size", 2**40),
        ("CRC", 1),
    ]:
        path = tmp_path / "stats.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members().items():
                file.writestr(f"{name}.npy", data)
            setattr(file.getinfo("0/3/zeros.npy"), field, value)
        with pytest.raises(ValueError, match="must be a relustat stats file"):
            Report.load(path)


def test_members_that_overlap(tmp_path):
    """One member may not hold another: so many could inflate to any size."""
    path = tmp_path / "stats.npz"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("0/3/zeros.npy", member_of([0] * 300))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("outer.npy", header((len(inner.getvalue()) // 8,)) + inner.getvalue())
        twin = copy.copy(zipfile.ZipFile(inner).getinfo("0/3/zeros.npy"))
        twin.header_offset = len("outer.npy") + 30 + 128
        file.filelist.append(twin)
        file.NameToInfo[twin.filename] = twin
        file._didModify = True
    with open(path, "rb") as file:
        read = Archive(file)
        assert read.integers("0/3/zeros", (300,)).tolist() == [0] * 300
        with pytest.raises(ValueError, match="outer must be packed by deflate"):
            read.integers("outer", (len(inner.getvalue()) // 8,))


def test_objects_are_never_unpickled(tmp_path):
    for name in ("0_of_zeros", "relustat"):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.array([None, 3, "a"], dtype=object))
        write(tmp_path / "stats.npz", members(**{name: file.getvalue()}))
        with pytest.raises(ValueError, match="must be a relustat stats file"):
            Report.load(tmp_path / "stats.npz")


def test_texts_that_are_long_are_not_packed(tmp_path, monkeypatch):
    """Beyond some size, a text that is packed tightly is refused: ours is not."""
    monkeypatch.setattr(archive, "MOST_TEXT", 2**12)
    stats = relu_stats(torch.ones(1, 3))[1]
    report = Report({"a" * 5000: stats})
    report.save(tmp_path / "long.npz")
    assert Report.load(tmp_path / "long.npz") == report
    write(tmp_path / "stats.npz", members(relustat=member_of(TEXT + " " * 5000)))
    with pytest.raises(ValueError, match="must be a relustat stats file"):
        Report.load(tmp_path / "stats.npz")


def test_an_array_that_was_written_is_missed(tmp_path):
    path = tmp_path / "stats.npz"
    npz.save(path, {"fc": relu_stats(-torch.ones(1, 3))[1].to_dict()})
    with zipfile.ZipFile(path) as file:
        left = {name[:-4]: file.read(name) for name in file.namelist() if "since" not in name}
    assert len(left) == 4
    write(path, left)
    with pytest.raises(ValueError, match="must be a relustat stats file"):
        Report.load(path)


def test_a_call_site_that_is_there_twice(tmp_path):
    counts = {f"1/3/{name}": member_of(each) for name, each in COUNTS.items()}
    text = member_of(json.dumps({"version": 1, "sites": [SITE, SITE]}))
    write(tmp_path / "stats.npz", {**members(), **counts, "relustat": text})
    with pytest.raises(ValueError, match="must be a relustat stats file"):
        Report.load(tmp_path / "stats.npz")
