"""The examples of what to do with counts: reviving, pruning, and hot units."""

import runpy

from repository import EXAMPLES


def run(name, capsys, *arguments):
    """The lines that an example prints."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](arguments)
    return capsys.readouterr().out.splitlines()


def test_a_dead_network_learns(tmp_path, capsys):
    path = tmp_path / "picture.png"
    options = "--steps=160", "--seeds=1", "--bias=-3", f"--out={path}"
    without, *_, last = run("reviving", capsys, *options)
    assert without.startswith("without: 9.")
    assert without.endswith("100.0% of the units dead (100.0% to 100.0%)")
    right = float(last.removeprefix("with ReviveDead: ").partition("%")[0])
    assert right > 50
    assert path.stat().st_size > 0


def test_a_pruned_network_is_as_right(tmp_path, capsys):
    path = tmp_path / "picture.png"
    *_, last = run("pruning", capsys, "--epochs=3", "--seeds=1", f"--out={path}")
    share, right, _ = last.split("; ")
    assert float(share.partition("%")[0]) > 10
    before, after = (text.rpartition(" ")[2] for text in right.split(", "))
    assert before == after
    assert path.stat().st_size > 0


def test_all_active_units_are_enough(tmp_path, capsys):
    path = tmp_path / "picture.png"
    lines = run("hot_units", capsys, "--epochs=1", "--seeds=1", f"--out={path}")
    shares = [float(line.partition(": ")[2].partition("%")[0]) for line in lines]
    assert shares == sorted(shares)
    assert len(lines) == 11
    assert path.stat().st_size > 0
