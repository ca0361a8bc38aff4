"""A feed-forward layer is cut to its hot units: what is lost of what it has learned.

A small transformer with ReLUs, as in OPT, learns handwritten digits: each row of pixels is a token.
Its feed-forward layers are wide, and each unit is active for some tokens only. hot_units gives the
fewest units that together have a share of all active outputs. All other units are cut out, and the
network is asked again.

Units that are active for most inputs do most of the work: see Song et al., "PowerInfer", 2023, and
Mirzadeh et al., "ReLU strikes back", 2023.

    python examples/hot_units.py [--data DIR] [--out picture.png]
"""

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

import relustat
from relustat.demo import load_images

WIDTH, INNER, LAYERS = 32, 256, 2
COVERAGES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Transformer(nn.Module):
    def __init__(self, rows, columns, classes):
        super().__init__()
        self.embedding = nn.Linear(columns, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(rows, WIDTH))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                WIDTH, 4, INNER, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x):
        x = self.embedding(x.mean(1)) + self.positions  # one channel: [images, rows, columns]
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


def train(images, seed, epochs):
    torch.manual_seed(seed)
    model = Transformer(*images.train_images.shape[-2:], images.classes)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images.train_images)).split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images.train_images[chosen]), images.train_labels[chosen])
            loss.backward()
            optimizer.step()
    return model.eval()


@torch.no_grad()
def accuracy(model, images):
    return (model(images.test_images).argmax(1) == images.test_labels).double().mean().item()


def cut_to(model, units):
    """A copy whose feed-forward layers have these units only."""
    model = copy.deepcopy(model)
    for layer, kept in zip(model.layers, units, strict=True):
        layer.linear1.weight = nn.Parameter(layer.linear1.weight[kept])
        layer.linear1.bias = nn.Parameter(layer.linear1.bias[kept])
        layer.linear2.weight = nn.Parameter(layer.linear2.weight[:, kept])
    return model


def cuts(images, seed, epochs):
    """Trains and cuts: by coverage, the share of units that are kept, and the accuracy."""
    model = train(images, seed, epochs)
    with relustat.watch(model, bins=None) as watch, torch.no_grad():
        model(images.train_images)
    stats = list(watch.stats.values())
    found = []
    for coverage in COVERAGES:
        units = [torch.from_numpy(each.hot_units(coverage)) for each in stats]
        share = sum(map(len, units)) / (LAYERS * INNER)
        found.append((share, accuracy(cut_to(model, units), images)))
    return found


def draw(runs, images, path):
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    names = {"units that are kept": "#999999", "right on test images": "#0072b2"}
    for index, (name, colour) in enumerate(names.items()):
        values = runs[:, :, index]
        axes.plot(COVERAGES, values.mean(0), "o-", color=colour, label=name, markersize=4)
        axes.fill_between(COVERAGES, values.min(0), values.max(0), color=colour, alpha=0.2)
    axes.set_ylim(0, 1)
    axes.set_xlabel("coverage: share of all active outputs that the hot units have")
    axes.legend(frameon=False)
    axes.set_title(f"{images.name}; {len(runs)} seeds: mean, worst and best", fontsize=9)
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of MNIST or Fashion-MNIST as IDX files")
    parser.add_argument("--epochs", type=int, default=12, help="number of epochs")
    parser.add_argument("--seeds", type=int, default=5, help="number of networks")
    parser.add_argument("--out", type=Path, default=Path("hot-units.png"))
    options = parser.parse_args(arguments)
    for name in ("epochs", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    images = load_images(options.data, 2000)
    runs = np.array([cuts(images, seed, options.epochs) for seed in range(options.seeds)])
    for index, coverage in enumerate(COVERAGES):
        shares, right = runs[:, index].T
        print(
            f"coverage {coverage:.0%}: {shares.mean():.1%} of the units, {right.mean():.1%} right "
            f"({right.min():.1%} to {right.max():.1%})"
        )
    draw(runs, images, options.out)


if __name__ == "__main__":
    main()
