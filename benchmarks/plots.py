"""Draws what `make bench` measured: one figure each, as PNG and SVG, into docs/.

    python benchmarks/plots.py [FILE ...]        JSON files; build/bench*.json if none are given

Where two files hold the same row, the later measurement counts.
"""

import argparse
import json
from pathlib import Path

from figures import memory, networks, pool_grid, pools, relu, rivals, roofline, scaling
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
FIGURES = {
    "relu": relu,
    "rivals": rivals,
    "pools": pools,
    "pool-grid": pool_grid,
    "networks": networks,
    "scaling": scaling,
    "roofline": roofline,
    "memory": memory,
}


def read(files):
    """One dictionary for each row, with the machine that it was measured on."""
    runs = sorted((json.loads(file.read_text()) for file in files), key=lambda run: run["datetime"])
    rows = {}
    for run in runs:
        machine = run["machine_info"]["relustat"]
        for benchmark in run["benchmarks"]:
            rows[benchmark["fullname"]] = {**benchmark["extra_info"], "machine": machine}
    return list(rows.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help="build/bench*.json if none are given")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="the folder to write to")
    options = parser.parse_args()
    files = options.files or sorted((ROOT / "build").glob("bench*.json"))
    if not files:
        raise SystemExit("plots: there is nothing to draw in build; run make bench first")
    rows = read(files)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, module in FIGURES.items():
        figure = module.draw(rows)
        if figure is None:
            print(f"plots: no rows for bench-{name}")
            continue
        for suffix, options_of in (("png", {"dpi": 150}), ("svg", {"metadata": {"Date": None}})):
            figure.savefig(options.output / f"bench-{name}.{suffix}", **options_of)
        plt.close(figure)


if __name__ == "__main__":
    main()
