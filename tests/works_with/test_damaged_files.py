"""Files with flipped bits, and files that are cut: an error that says so, or the same counts."""

import json

import numpy as np
import pytest
import torch
from state_cases import Net, run, steps

import relustat
from relustat import LinearBins, ReLUStats, Report
from relustat.cli.data.share import Share
from relustat.cli.resuming import Done, ResumeFile
from relustat.history import History

BINS = LinearBins(-2, 2, 8)


def damaged(whole, number, seed=0):
    """A file with a bit flipped, or some, or cut, or with bytes of another place."""
    random = np.random.default_rng(seed)
    for _ in range(number):
        data = bytearray(whole)
        kind = random.integers(8)
        if kind == 0:
            del data[random.integers(len(data)) :]
        elif kind == 1:
            at, begin = random.integers(len(data), size=2)
            data[at : at + 4] = data[begin : begin + 4]
        else:
            for at in random.integers(len(data), size=1 if kind < 6 else 5):
                data[at] ^= 1 << random.integers(8)
        yield bytes(data)


@pytest.fixture(scope="module")
def watch():
    model = Net()
    with relustat.watch(model, BINS, activations="all", zero_blocks=3) as watch:
        run(watch, model, steps(7))
    return watch


@pytest.fixture
def kinds(watch, tmp_path):
    """What writes a file of each kind, and what reads its counts: in the order of calls, too."""
    share = Share(0, 1)

    def resumed(path):
        with relustat.watch(Net(), BINS, activations="all", zero_blocks=3) as again:
            file = ResumeFile(path, share, {"a": "b"}, 1.0)
            done = file.load(again)
            return done, described(again.report()), again.history.to_dict()

    def described(report):
        return {name: stats.to_dict() for name, stats in report.stats.items()}

    def save(path):
        ResumeFile(path, share, {"a": "b"}, 1.0).save(watch, Done(7, 28))

    (stats, *_) = watch.stats.values()
    return {
        "stats": (stats.save, lambda path: ReLUStats.load(path).to_dict()),
        "report": (watch.report().save, lambda path: described(Report.load(path))),
        "history": (watch.history.save, lambda path: History.load(path).to_dict()),
        "resume": (save, resumed),
    }


MANY = [1000, pytest.param(30_000, marks=pytest.mark.exhaustive)]


@pytest.mark.parametrize("number", MANY)
@pytest.mark.parametrize("kind", ["stats", "report", "history", "resume"])
def test_archives(kind, number, kinds, tmp_path):
    path = tmp_path / "file.npz"
    save, load = kinds[kind]
    save(path)
    whole, counts = path.read_bytes(), load(path)
    refused = 0
    for data in damaged(whole, number):
        path.write_bytes(data)
        try:
            found = load(path)
        except (ValueError, OSError):
            refused += 1
        else:
            # Archives have bytes that nobody reads.
            assert found == counts
    assert refused > number / 4


@pytest.mark.parametrize("number", MANY)
def test_json(number, watch, tmp_path):
    """A text has no checksum: what is read may differ, and agrees."""
    path = tmp_path / "file.json"
    for read, whole in (
        (lambda: Report.load(path), watch.report().to_dict()),
        (lambda: History.from_dict(json.loads(path.read_bytes())), watch.history.to_dict()),
    ):
        refused = 0
        for data in damaged(json.dumps(whole).encode(), number // 2):
            path.write_bytes(data)
            try:
                found = read()
            except ValueError:
                refused += 1
            else:
                assert type(found).from_dict(found.to_dict()) == found
        assert refused > number / 16


@pytest.mark.parametrize("number", MANY)
def test_states(number, watch):
    """The text of a state and its counts, which a checkpoint may hold without a checksum."""
    state = watch.state_dict()
    text = state["described"].encode()
    sizes = [each.numel() * 8 for each in state["counts"].values()]
    whole = b"".join([text, *(each.numpy().tobytes() for each in state["counts"].values())])
    with relustat.watch(Net(), BINS, activations="all", zero_blocks=3) as again:
        again.load_state_dict(state)
        before = again.report()
        for data in damaged(whole, number):
            wrong = data.ljust(len(whole), b"\0")
            ends = np.cumsum([len(text), *sizes])
            parts = [wrong[end - size : end] for end, size in zip(ends[1:], sizes, strict=True)]
            counts = {
                name: torch.frombuffer(bytearray(part), dtype=torch.int64).view(each.shape)
                if part
                else each
                for (name, each), part in zip(state["counts"].items(), parts, strict=True)
            }
            described = wrong[: len(text)].decode(errors="replace")
            if wrong == whole:
                continue
            with pytest.raises(ValueError, match="load_state_dict: "):
                again.load_state_dict({**state, "described": described, "counts": counts})
        assert again.report() == before
