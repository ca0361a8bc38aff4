"""Histograms of the inputs of every ReLU of VGG-16 and ResNet-18, and their shares of zeros.

It makes one pass over a folder of images, such as ImageNet's validation set, or over scikit-image's
photographs. For each ReLU it keeps a histogram of the inputs and the exact count of zeros. It draws
those of VGG-16's 13 convolutions, or all 17 of ResNet-18. With the original weights, VGG-16's first
ReLUs set a third to a half of their inputs to zero, and those of conv4_3 and conv5_3 set 9 of 10.

Forward hooks with np.histogram easily go wrong; this does not:

* ResNet-18's blocks call one ReLU module twice, in place. A hook sees both calls, after they have
  rectified. ``watch`` tells the calls apart, ``layer1.0.relu`` and ``layer1.0.relu_1``, and counts
  before they write. The model is not changed, and no layer is hooked twice or never.
* The share of zeros is counted, not summed from bins. In bins without an edge at 0, as the 200 of
  ``np.linspace(-70, 40, 201)``, small positive inputs share a bin with negative ones.
* No layer needs a range of its own. Logarithmic bins reach from -65,536 to 65,536, and values
  outside are counted, not dropped.

Weights are torchvision's files, vgg16-397923af.pth and resnet18-f37072fd.pth, or the original
weights of VGG-16's convolutions; see networks.py. Without a file, weights are random, and the
picture is that of an untrained network.

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014.
He et al., Deep Residual Learning for Image Recognition, 2015.

    python examples/relu_analysis.py --model vgg16 [--weights FILE] [--images DIR] [--out PNG]
"""

import argparse
import itertools
import re
import statistics
import time
from pathlib import Path

import torch
from networks import VGG16_RELUS, resnet18, vgg16
from photographs import NO_LABEL, Photographs
from torch.utils.data import DataLoader

import relustat
from relustat.report import histogram_grid

NETWORKS = {"vgg16": vgg16, "resnet18": resnet18}
NAMES = {"vgg16": "VGG-16", "resnet18": "ResNet-18"}
VALIDATION_IMAGES = 50_000
ROUNDS = 5
# Fine enough for a picture: 32 bins from each power of two to the next.
BINS = relustat.LogBins(per_octave=32)


class Accuracy:
    """The shares of images whose class has the highest score, or is among the highest 5."""

    def __init__(self):
        self.images = 0
        self.hits = {1: 0, 5: 0}

    def add(self, scores, labels):
        """Scores [N, classes], labels [N]; an image without a label does not count."""
        self.images += (labels != NO_LABEL).sum().item()
        for k in self.hits:
            self.hits[k] += (scores.topk(k).indices == labels[:, None]).sum().item()

    def __str__(self):
        if not self.images:
            return "not known: takes a classifier, and a folder with ImageNet's 1,000 sub-folders"
        shares = ", ".join(f"top-{k} {hits / self.images:.2%}" for k, hits in self.hits.items())
        return f"{shares} of {self.images:,} labelled images"


def analyse(network, batches):
    """Counts a network's ReLUs on batches (x, labels), and returns report and accuracy."""
    accuracy = Accuracy()
    with relustat.watch(network.model, bins=BINS) as watch:
        for x, labels in batches:
            output = network.model(x)
            if network.classifies:
                accuracy.add(output, labels)
    return watch.report(), accuracy


def pace(model, x):
    """Images per second while counting, and the time with counting over that without.

    There is a ratio for each round, which times both in turn.
    """
    plain, counted = [], []
    for _ in range(ROUNDS):
        plain.append(seconds(model, x))
        with relustat.watch(model, bins=BINS):
            counted.append(seconds(model, x))
    ratios = [slow / fast for slow, fast in zip(counted, plain, strict=True)]
    return len(x) / statistics.median(counted), ratios


def seconds(model, x):
    model(x)  # the first call is slower, so it is not timed
    start = time.perf_counter()
    model(x)
    return time.perf_counter() - start


def panels(model, stats):
    """VGG-16's ReLUs by the convolution before them; for other networks all, by call site."""
    if model != "vgg16":
        return stats
    return {name: stats[call_site] for name, call_site in VGG16_RELUS.items()}


def draw(stats, title, path):
    """A column of panels for each block, whose name is the first part of a panel's."""
    figure = histogram_grid(stats)
    blocks = [
        list(names)
        for _, names in itertools.groupby(stats, lambda name: re.match(r"[a-z]+\d*", name)[0])
    ]
    rows = max(map(len, blocks))
    height = 1.8 * rows + 1
    figure.set_size_inches(2.3 * len(blocks), height)
    # No layout engine, because it would give a column more room where labels are wide.
    figure.set_layout_engine("none")
    ends = {"left": 0.02, "right": 0.98, "bottom": 0.6 / height, "top": 1 - 0.85 / height}
    grid = figure.add_gridspec(rows, len(blocks), **ends, wspace=0.2, hspace=0.45)
    places = [(row, column) for column, block in enumerate(blocks) for row in range(len(block))]
    for axes, place in zip(figure.axes, places, strict=True):
        axes.set_subplotspec(grid[place])
    figure.suptitle(title, fontsize=11, y=1 - 0.1 / height)
    figure.supxlabel("input of the ReLU, the middle 99.8 %; grey: set to zero", fontsize=9)
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=NETWORKS, required=True)
    parser.add_argument("--weights", type=Path, help="see networks.py; without it, random weights")
    parser.add_argument(
        "--images", type=Path, help="a folder; without it, scikit-image's photographs"
    )
    parser.add_argument(
        "--limit", type=int, help="largest number of files, evenly spread over the folder"
    )
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, help="default: relus-MODEL.png")
    options = parser.parse_args(arguments)

    network = NETWORKS[options.model](options.weights)
    photographs = Photographs(options.images, network.prepare, options.limit)
    batches = DataLoader(photographs, options.batch_size)
    with torch.no_grad():
        report, accuracy = analyse(network, batches)
        rate, ratios = pace(network.model, next(iter(batches))[0])

    title = f"{options.model}, {network.origin}, photographs: {len(photographs)}"
    stats = panels(options.model, report.stats)
    print(title)
    print(photographs.summary())
    print(report)
    rates = ", ".join(f"{name} {site.activation_rate:.3f}" for name, site in stats.items())
    print(f"share of active outputs: {rates}")
    print(f"accuracy: {accuracy}")
    hours = VALIDATION_IMAGES / rate / 3600
    print(f"{rate:.1f} images/s while counted: {VALIDATION_IMAGES:,} take {hours:.2g} hours")
    low, middle, high = (f(ratios) - 1 for f in (min, statistics.median, max))
    print(f"counting costs {middle:+.1%} ({low:+.1%} to {high:+.1%} in {ROUNDS} rounds)")

    out = options.out or Path(f"relus-{options.model}.png")
    weights = network.origin if options.weights is None else "trained weights"
    low, high = network.prepare.limits
    draw(
        stats,
        f"{NAMES[options.model]}: inputs of the ReLUs on {len(photographs)} photographs, "
        f"a column for each block\n{weights}; the network takes pixels from {low:.3g} to "
        f"{high:.3g}, which sets the scale of the numbers below",
        out,
    )
    print(f"picture: {out} (relustat {relustat.__version__})")


if __name__ == "__main__":
    main()
