"""Unpooling with switches where the windows of a max-pooling overlap.

A photograph goes through a filter and a ReLU. It is max-pooled with 3x3 windows, 2 cells apart (as
in AlexNet and by Zeiler and Fergus), and the maxima are then put back where they were.

These windows overlap by a row and a column, so two or four of them may have their maximum in the
same cell. In this picture a third of all pooled values share their cell. Values that share a cell
are equal: they are all the value of that cell.

* "last" and "max" put the value there once. Pooling again gives the first pooled map, bit for bit:
  every window has its maximum where it was, and no larger value has been added.
* "sum" adds the value once for each window: it is the transpose of pooling, and what a gradient
  does (and so the "deconvolution" of libraries that use gradients). Cells of several windows become
  up to four times as bright, and pooling again gives another map.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014.

    python examples/deconvnet_switches.py [--out picture.png]
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

import relustat
from relustat.functional import max_pool2d, max_unpool2d

KERNEL, STRIDE = 3, 2
SIZE = 111


def feature_map():
    """A photograph's edges from light to dark, top left to bottom right: [1, 1, SIZE, SIZE]."""
    photograph = torch.tensor(load_sample_image("flower.jpg")).float().mean(2)
    crop = photograph[60:400, 150:490][None, None] / 255
    crop = F.interpolate(crop, size=(SIZE + 2, SIZE + 2), mode="bilinear", antialias=True)
    diagonal = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, -2.0]])
    return torch.relu(F.conv2d(crop, diagonal[None, None]))


def sharing(switches):
    """The share of pooled values that share their cell with another window."""
    _, inverse, counts = switches.indices().unique(return_inverse=True, return_counts=True)
    return (counts[inverse] > 1).double().mean().item()


def draw(x, unpooled, path):
    titles = ["after the ReLU", 'unpooled, overlap="last"', 'unpooled, overlap="sum"']
    figure = Figure(figsize=(12, 4.3), layout="constrained")
    panels = figure.subplots(1, 3)
    brightest = max(each.max().item() for each in unpooled.values())
    for panel, title, image in zip(
        panels, titles, [x, unpooled["last"], unpooled["sum"]], strict=True
    ):
        # Colours by the square root, because most cells are dim.
        scale = PowerNorm(0.5, vmin=0, vmax=brightest)
        shown = panel.imshow(image[0, 0], cmap="magma", norm=scale, interpolation="nearest")
        panel.set_title(title, fontsize=12)
        panel.set_xlabel(
            f"{image.count_nonzero():,} cells above 0, sum {image.sum():,.0f}", fontsize=11
        )
        panel.set_xticks([])
        panel.set_yticks([])
    bar = figure.colorbar(shown, cax=panels[2].inset_axes([1.04, 0, 0.05, 1]))
    bar.set_label("value of the cell", fontsize=11)
    figure.savefig(path, dpi=110)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("deconvnet-switches.png"))
    options = parser.parse_args(arguments)
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    x = feature_map()
    y, switches = max_pool2d(x, KERNEL, STRIDE)
    print(switches)
    print(f"{sharing(switches):.1%} of the pooled values share their cell with another window")
    print(
        f"switches take {switches.offsets.nbytes:,} bytes, PyTorch's indices "
        f"{switches.indices().nbytes:,}"
    )
    unpooled = {
        overlap: max_unpool2d(y, switches, overlap=overlap) for overlap in ("last", "max", "sum")
    }
    for overlap, image in unpooled.items():
        again, _ = max_pool2d(image, KERNEL, STRIDE)
        same = "equals the first map" if torch.equal(again, y) else "is another map"
        print(
            f'unpooled "{overlap}": {image.count_nonzero():,} cells above 0, '
            f"sum {image.sum():,.1f}; pooled again it {same}"
        )
    draw(x, unpooled, options.out)
    print(f"picture: {options.out} (relustat {relustat.__version__})")


if __name__ == "__main__":
    main()
