"""Activation and death rates in training, by outputs and by gradients, with and without dropout.

A unit is dead in a batch if all its outputs are 0. The gradient of its weights is then 0. So both
the outputs of ReLUs and the gradients of the layers before them show dead units.

The first experiment has two Gaussian clouds that a straight line separates, and a network with two
hidden layers of 16 units. That is far too large, and a part of the second layer is dead.

The second experiment is a small CNN on handwritten digits, without dropout and with it. Without
dropout, a large part of the second convolution and of the dense layer is dead, by outputs and by
gradients. With dropout before them, units cannot rely on a few others: the dense layer has almost
no dead units, and the second convolution has fewer.

The experiments are from the documentation of monitorch ("Activations: MNIST") and from Malcolm
Lett, "Neuron Death in ANNs: detecting and troubleshooting".

    python examples/activation_rates.py [--data DIR] [--out picture.png]
"""

import argparse
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

from relustat.analysis import ActivationRates
from relustat.demo import load_images

HIDDEN = 16
# After the first convolution's ReLU; before and after the dense layer.
DROPOUT = {"without dropout": (0.0, 0.0, 0.0), "with dropout": (0.5, 0.5, 0.2)}
CLASSES = ["#0072b2", "#e69f00"]
COMPARED = ["relu2", "relu3", "conv2.weight", "lin1.weight"]


def clouds(generator, count=40):
    """Two Gaussian clouds in the plane: points [2 count, 2] and their classes [2 count]."""
    points = 0.5 * torch.randn(2, count, 2, generator=generator)
    centres = torch.tensor([1.0, -1.0])[:, None, None]
    return (points + centres).flatten(0, 1), torch.arange(2).repeat_interleave(count)


def make_mlp():
    return nn.Sequential(
        OrderedDict(
            lin1=nn.Linear(2, HIDDEN),
            relu1=nn.ReLU(),
            lin2=nn.Linear(HIDDEN, HIDDEN),
            relu2=nn.ReLU(),
            lin3=nn.Linear(HIDDEN, 2),
        )
    )


def make_cnn(images, dropout):
    """A CNN whose maps are pooled to 4x4, for images of any size."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(images.train_images.shape[1], 64, 3, padding=1),
            pool=nn.AdaptiveMaxPool2d(4),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(dropout[0]),
            conv2=nn.Conv2d(64, 128, 4),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            dropout2=nn.Dropout(dropout[1]),
            lin1=nn.Linear(128, 32),
            relu3=nn.ReLU(),
            dropout3=nn.Dropout(dropout[2]),
            lin2=nn.Linear(32, images.classes),
        )
    )


def train(model, x, labels, epochs, batch):
    """Trains with Adam, and returns the rates of all epochs."""
    optimizer = torch.optim.Adam(model.parameters())
    model.train()
    with ActivationRates(model) as rates:
        for epoch in range(epochs):
            for chosen in torch.randperm(len(x)).split(batch):
                optimizer.zero_grad()
                F.cross_entropy(model(x[chosen]), labels[chosen]).backward()
                optimizer.step()
            rates.snapshot(epoch)
    return rates


@torch.no_grad()
def accuracy(model, x, labels):
    model.eval()
    return (model(x).argmax(1) == labels).double().mean().item()


def tell(heading, right, rates):
    print(f"\n{heading}: {right:.1%} right")
    print(rates)
    for kind in ("outputs", "gradients"):
        worst = rates.worst(kind)[-1]
        print(
            f"worst of all {kind}: activation rate {worst.activation:.1%} in "
            f"{worst.activation_layer}, death rate {worst.death:.1%} in {worst.death_layer}"
        )


def compare(rates):
    """Prints the rates of each layer without dropout and with it."""
    without, dropped = (each.outputs | each.gradients for each in rates.values())
    print("\nDeath rate in the last epoch")
    for layer in COMPARED:
        before, after = without[layer].death[-1], dropped[layer].death[-1]
        print(f"{layer:12}  without dropout {before:6.1%}, with dropout {after:6.1%}")


def draw_boundary(axes, model, points, labels):
    reach = torch.linspace(-3, 3, 150)
    grid = torch.cartesian_prod(reach, reach)
    with torch.no_grad():
        classes = model(grid).argmax(1).reshape(len(reach), -1).T
    axes.contourf(reach, reach, classes, levels=[-0.5, 0.5, 1.5], colors=CLASSES, alpha=0.25)
    axes.scatter(*points.T, c=np.array(CLASSES)[labels], s=9)
    axes.set_title("two clouds, and the\nclasses of the MLP", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def draw_layer(axes, name, layers):
    rates = layers[name]
    rates.draw(axes)
    what = f"gradient of {name}" if "." in name else name
    axes.set_title(
        f"{what}\n{rates.activation[-1]:.0%} active, {rates.death[-1]:.0%} dead", fontsize=9
    )
    axes.set_xlabel("epoch", fontsize=8)


def draw(mlp, points, labels, of_mlp, of_cnns, path):
    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.08)
    rows = figure.subplots(3, 4)
    headings = ["an MLP with too many units", *(f"a CNN {heading}" for heading in of_cnns)]
    for heading, row in zip(headings, rows, strict=True):
        row[0].set_ylabel(heading, fontsize=9)
    figure.align_ylabels(rows[:, 0])
    draw_boundary(rows[0, 0], mlp, points, labels)
    for axes, name in zip(rows[0, 1:], ["relu1", "relu2", "lin2.weight"], strict=True):
        draw_layer(axes, name, of_mlp.outputs | of_mlp.gradients)
    for row, rates in zip(rows[1:], of_cnns.values(), strict=True):
        for axes, name in zip(row, COMPARED, strict=True):
            draw_layer(axes, name, rates.outputs | rates.gradients)
    handles, names = rows[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    figure.supxlabel(
        "activation rate: outputs above 0, or gradients other than 0; "
        "death rate: units without any in a batch",
        fontsize=9,
    )
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of MNIST or Fashion-MNIST as IDX files")
    parser.add_argument(
        "--samples", type=int, default=2000, help="largest number of training images"
    )
    parser.add_argument(
        "--epochs", type=int, default=20, help="number of epochs of the CNNs; the MLP has 50"
    )
    parser.add_argument("--out", type=Path, default=Path("activation-rates.png"))
    options = parser.parse_args(arguments)
    if options.samples < 1:
        parser.error(f"--samples must be at least 1, got {options.samples}")
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    torch.manual_seed(0)
    points, labels = clouds(torch.Generator().manual_seed(42))
    mlp = make_mlp()
    of_mlp = train(mlp, points, labels, epochs=50, batch=8)
    tell("Two clouds, MLP", accuracy(mlp, points, labels), of_mlp)

    images = load_images(options.data, options.samples)
    of_cnns = {}
    for heading, dropout in DROPOUT.items():
        torch.manual_seed(0)
        cnn = make_cnn(images, dropout)
        of_cnns[heading] = train(
            cnn, images.train_images, images.train_labels, options.epochs, batch=64
        )
        right = accuracy(cnn, images.test_images, images.test_labels)
        tell(f"{images.name}, CNN {heading}", right, of_cnns[heading])
    compare(of_cnns)
    draw(mlp, points, labels, of_mlp, of_cnns, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
