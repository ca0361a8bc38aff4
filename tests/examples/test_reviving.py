"""The example of reviving: a dead network learns with help, and not without."""

import runpy

from repository import EXAMPLES


def test_a_dead_network_learns(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "reviving.py"))["main"]
    path = tmp_path / "picture.png"
    main(["--steps=160", "--seeds=1", "--bias=-3", f"--out={path}"])
    without, *_, last = capsys.readouterr().out.splitlines()
    assert without.startswith("without: 9.")
    assert without.endswith("100.0% of the units dead (100.0% to 100.0%)")
    right = float(last.removeprefix("with ReviveDead: ").partition("%")[0])
    assert right > 50
    assert path.stat().st_size > 0
