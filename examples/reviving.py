"""A network with many dead units learns again, once their weights are drawn anew.

The network has two hidden layers of 64 units and reads handwritten digits. Its biases begin at a
low value, as after a step that was too large, so that many units are 0 for every image. Such a
unit gets no gradient, and if a whole layer is dead, nothing learns. ReviveDead draws the weights of
dead units again every 50 steps (ReDo: Sokar et al., "The dormant neuron phenomenon in deep
reinforcement learning", 2023).

Each line is the mean of several seeds; the band reaches from the worst to the best of them.

    python examples/reviving.py [--data DIR] [--out picture.png]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

import relustat
from relustat.demo import load_images
from relustat.surgery import ReviveDead

HIDDEN, BATCH, EVERY = 64, 64, 50
LOOKED_AT = 10
COLOURS = {"without": "#d55e00", "with ReviveDead": "#0072b2"}


def make_mlp(features, classes, bias):
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, classes),
    )
    with torch.no_grad():
        model[1].bias.fill_(bias)
        model[3].bias.fill_(bias)
    return model


@torch.no_grad()
def accuracy(model, x, labels):
    return (model(x).argmax(1) == labels).double().mean().item()


def dead_share(watch, calls):
    """The share of units that gave only zeros in the last calls."""
    found = watch.stats.values()
    return sum(len(each.dead_for(calls)) for each in found) / sum(each.widths[0] for each in found)


def train(images, seed, steps, bias, revives):
    """Trains a network, and returns [looks, 2]: its accuracy, and the share of dead units."""
    torch.manual_seed(seed)
    x, labels = images.train_images, images.train_labels
    model = make_mlp(x[0].numel(), images.classes, bias)
    optimizer = torch.optim.AdamW(model.parameters())
    looks = []
    with relustat.watch(model, bins=None) as watch:
        revive = ReviveDead(model, watch, optimizer, every=EVERY, calls=EVERY)
        for step in range(1, steps + 1):
            chosen = torch.randint(len(x), (BATCH,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[chosen]), labels[chosen]).backward()
            optimizer.step()
            if step % LOOKED_AT == 0:
                with watch.pause():
                    right = accuracy(model, images.test_images, images.test_labels)
                looks.append((right, dead_share(watch, min(step, EVERY))))
            if revives and (done := revive.step()) and seed == 0:
                print(f"step {step}\n{done}")
    return looks


def draw(found, steps, images, path):
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    at = np.arange(LOOKED_AT, steps + 1, LOOKED_AT)
    titles = ["accuracy on test images", "share of units that are dead now"]
    for index, (axes, title) in enumerate(zip(figure.subplots(1, 2), titles, strict=True)):
        for name, runs in found.items():
            values = runs[:, :, index]
            axes.plot(at, values.mean(0), color=COLOURS[name], label=name)
            axes.fill_between(at, values.min(0), values.max(0), color=COLOURS[name], alpha=0.2)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("training step")
        axes.set_ylim(0, 1)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    figure.supxlabel(f"{images.name}; {len(runs)} seeds: mean, worst and best", fontsize=9)
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of MNIST or Fashion-MNIST as IDX files")
    parser.add_argument("--steps", type=int, default=500, help="number of training steps")
    parser.add_argument("--seeds", type=int, default=5, help="number of networks of each kind")
    parser.add_argument("--bias", type=float, default=-0.2, help="first bias of the hidden units")
    parser.add_argument("--out", type=Path, default=Path("reviving.png"))
    options = parser.parse_args(arguments)
    if options.steps < LOOKED_AT:
        parser.error(f"--steps must be at least {LOOKED_AT}, got {options.steps}")
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    images = load_images(options.data, 2000)
    found = {}
    for name in COLOURS:
        runs = [
            train(images, seed, options.steps, options.bias, revives=name != "without")
            for seed in range(options.seeds)
        ]
        found[name] = np.array(runs)
        right, dead = found[name][:, -1].T
        print(
            f"{name}: {right.mean():.1%} right ({right.min():.1%} to {right.max():.1%}), "
            f"{dead.mean():.1%} of the units dead ({dead.min():.1%} to {dead.max():.1%})"
        )
    draw(found, options.steps, images, options.out)


if __name__ == "__main__":
    main()
