"""The example runs and says what it must."""

import importlib.util

from repository import EXAMPLES

EXAMPLE = EXAMPLES / "deconvnet_switches.py"


def test_example(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("deconvnet_switches", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(["--out", str(tmp_path / "picture.png")])
    told = capsys.readouterr().out
    for overlap in ("last", "max"):
        line = next(line for line in told.splitlines() if f'"{overlap}"' in line)
        assert line.endswith("pooled again it equals the first map")
    assert "share their cell with another window" in told
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
