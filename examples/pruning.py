"""A trained network gives the same outputs without its dead units, in less time.

A small CNN learns handwritten digits, without dropout and with large steps. A large part of its
units is dead afterwards: 0 for every training image. prune_dead takes them out, and checks that the
outputs stay the same.

Each network is trained from a seed of its own. Times are of a forward pass in evaluation mode, the
pruned network beside the whole one, in rounds; the ratio is the median over rounds.

    python examples/pruning.py [--data DIR] [--out picture.png]
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

import relustat
from relustat.demo import load_images
from relustat.surgery import prune_dead

LAYERS = {"conv1": 64, "conv2": 128, "fc1": 64}
ROUNDS = 21


class CNN(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, LAYERS["conv1"], 3, padding=1)
        self.pool = nn.AdaptiveMaxPool2d(4)
        self.conv2 = nn.Conv2d(LAYERS["conv1"], LAYERS["conv2"], 3, padding=1)
        self.fc1 = nn.Linear(16 * LAYERS["conv2"], LAYERS["fc1"])
        self.fc2 = nn.Linear(LAYERS["fc1"], classes)

    def forward(self, x):
        x = F.relu(self.conv2(self.pool(F.relu(self.conv1(x)))))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def train(images, seed, epochs, rate):
    torch.manual_seed(seed)
    model = CNN(images.train_images.shape[1], images.classes)
    optimizer = torch.optim.Adam(model.parameters(), rate)
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


@torch.no_grad()
def time_ratio(model, plain, x):
    """The time of a model over that of another one: the median over rounds."""
    ratios = []
    for _ in range(ROUNDS):
        times = []
        for each in (model, plain):
            begin = time.perf_counter()
            each(x)
            times.append(time.perf_counter() - begin)
        ratios.append(times[0] / times[1])
    return float(np.median(ratios))


def pruned(images, seed, epochs, rate):
    """Trains and prunes: dead units by layer, both accuracies, and the ratio of times."""
    plain = train(images, seed, epochs, rate)
    model = copy.deepcopy(plain)
    with relustat.watch(model, bins=None) as watch, torch.no_grad():
        model(images.train_images)
    done = prune_dead(model, watch, images.train_images)
    print(f"seed {seed}\n{done}")
    dead = {change.layer: len(change.units) for change in done.done}
    return (
        [dead.get(layer, 0) for layer in LAYERS],
        (accuracy(plain, images), accuracy(model, images)),
        time_ratio(model, plain, images.train_images[:256]),
    )


def draw(dead, ratios, images, path):
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    shares = dead / np.array(list(LAYERS.values()))
    left.bar(list(LAYERS), shares.mean(0), color="#d55e00", alpha=0.6)
    for index, values in enumerate(shares.T):
        left.scatter(np.full(len(values), index), values, color="black", s=12, zorder=2)
    left.set_title("share of units that are dead, and pruned", fontsize=10)
    left.set_ylim(0, 1)
    right.bar(["whole", "pruned"], [1, ratios.mean()], color=["#999999", "#0072b2"], alpha=0.6)
    right.scatter(np.ones(len(ratios)), ratios, color="black", s=12, zorder=2)
    right.set_title("time of a forward pass", fontsize=10)
    figure.supxlabel(f"{images.name}; a point for each of {len(ratios)} seeds", fontsize=9)
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of MNIST or Fashion-MNIST as IDX files")
    parser.add_argument("--epochs", type=int, default=15, help="number of epochs")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate")
    parser.add_argument("--seeds", type=int, default=5, help="number of networks")
    parser.add_argument("--out", type=Path, default=Path("pruning.png"))
    options = parser.parse_args(arguments)
    for name in ("epochs", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    images = load_images(options.data, 2000)
    runs = [pruned(images, seed, options.epochs, options.rate) for seed in range(options.seeds)]
    dead, right, ratios = (np.array(each) for each in zip(*runs, strict=True))
    share = dead.sum(1) / sum(LAYERS.values())
    print(
        f"{share.mean():.1%} of the units pruned ({share.min():.1%} to {share.max():.1%}); "
        f"right before {right[:, 0].mean():.2%}, after {right[:, 1].mean():.2%}; "
        f"time {ratios.mean():.2f} ({ratios.min():.2f} to {ratios.max():.2f}) of the whole one's"
    )
    draw(dead, ratios, images, options.out)


if __name__ == "__main__":
    main()
