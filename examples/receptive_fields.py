"""Effective receptive fields, and how they grow with depth.

The networks are untrained stacks of 5, 10, 20 and 40 convolutions of 3x3 pixels. By geometry, n of
them see a square of 2n + 1 pixels: the theoretical receptive field. The effective field says how
strongly each pixel moves the activation in the middle: the absolute gradient, as shares of the
whole.

* With equal weights all paths through the network count the same, and most paths begin in the
  middle. The field is a 3x3 box, convolved with itself n times, which becomes a Gaussian of sigma
  sqrt(2n / 3). Here that is exact.
* With random weights a gradient is a sum of random numbers, one for each path. Its variance is that
  Gaussian. Its absolute value is the Gaussian's square root: a Gaussian sqrt(2) times as wide, of
  sigma sqrt(4n / 3), or less where the theoretical field cuts it off.
* Nonlinearities change the width little. With them each input has its own gradient, and the mean
  over 16 inputs is smooth. Without them all inputs have the same gradient.

So the effective field grows like the square root of the depth, and its share of the theoretical
field shrinks like one over that root. The table ends with the measured exponents of sigma and of
sigma over the theoretical size; 0.5 and -0.5 are expected for deep networks.

With the weights of a VGG-16 there is a second picture, of the fields after its five pools.

Luo, Li, Urtasun, Zemel, Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks, NIPS 2016, figures 1 and 2.

    python examples/receptive_fields.py [--out picture.png] [--weights vgg16-397923af.pth]
"""

import argparse
import math
from pathlib import Path

import networks
import numpy as np
import photographs
import torch
from torch import nn

import relustat
from relustat.analysis import receptive_field, receptive_field_grid

DEPTHS = (5, 10, 20, 40)
CHANNELS = 16
KINDS = {
    "equal weights": ("equal", nn.Identity),
    "random weights": ("random", nn.Identity),
    "random, ReLU": ("random", nn.ReLU),
    "random, tanh": ("random", nn.Tanh),
}
VGG16_POOLS = ("features.4", "features.9", "features.16", "features.23", "features.30")


def stack(depth, weights, activation):
    layers = []
    for _ in range(depth):
        convolution = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        if weights == "equal":
            nn.init.constant_(convolution.weight, 1 / (9 * CHANNELS))
        else:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, activation()]
    return nn.Sequential(*layers[:-1]).eval()


def fields_of_stacks():
    """The fields by title; a row of the picture is a kind, a column is a depth."""
    torch.manual_seed(0)
    return {
        (kind, depth): receptive_field(stack(depth, *KINDS[kind]), str(2 * depth - 2))
        for kind in KINDS
        for depth in DEPTHS
    }


def exponent(values):
    """The exponent of the power of the depth that fits best."""
    return np.polyfit(np.log(DEPTHS), np.log(values), 1)[0]


def print_table(fields):
    print(f"{'':16}  layers  theoretical  sigma  expected   95 % in  sigma/theoretical")
    for (kind, depth), field in fields.items():
        size, sigma = field.size[0], np.mean(field.gaussian.sigma)
        expected = math.sqrt((2 if kind == "equal weights" else 4) * depth / 3)
        print(
            f"{kind:16}  {depth:6}  {f'{size} x {size}':>11}  {sigma:5.2f}"
            f"  {expected:8.2f}  {field.area():5} px  {sigma / size:17.3f}"
        )
    for kind in KINDS:
        sigmas = [np.mean(fields[kind, depth].gaussian.sigma) for depth in DEPTHS]
        shares = [sigma / fields[kind, n].size[0] for sigma, n in zip(sigmas, DEPTHS, strict=True)]
        print(
            f"{kind}: sigma grows like depth^{exponent(sigmas):.2f}, "
            f"its share like depth^{exponent(shares):.2f}"
        )


def fields_of_vgg16(weights):
    network = networks.vgg16(weights)
    images = torch.utils.data.DataLoader(photographs.Photographs(None, network.prepare), 4)
    return {
        f"pool {number}": receptive_field(network.model, layer, data=images)
        for number, layer in enumerate(VGG16_POOLS, 1)
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("receptive-fields.png"))
    parser.add_argument(
        "--weights", type=Path, help="weights of a VGG-16, with or without its classifier"
    )
    parser.add_argument("--vgg16-out", type=Path, default=Path("receptive-fields-vgg16.png"))
    options = parser.parse_args(arguments)
    for out in (options.out, options.vgg16_out):
        if not out.parent.is_dir():
            parser.error(f"--out and --vgg16-out must be in folders that exist, got {out}")

    fields = fields_of_stacks()
    print_table(fields)
    titled = {f"{depth} layers, {kind}": field for (kind, depth), field in fields.items()}
    receptive_field_grid(titled, columns=len(DEPTHS)).savefig(options.out, dpi=120)
    print(f"picture: {options.out} (relustat {relustat.__version__})")
    if options.weights is not None:
        trained = fields_of_vgg16(options.weights)
        for name, field in trained.items():
            print(f"VGG-16, {name}: {field}, 95 % in {field.area()} pixels")
        receptive_field_grid(trained, columns=5).savefig(options.vgg16_out, dpi=120)
        print(f"picture: {options.vgg16_out}")


if __name__ == "__main__":
    main()
