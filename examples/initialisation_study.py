"""Do initial weights with fewer ReLU zeros, or fewer activation patterns, train to a lower loss?

It has been argued that they do. While no unit switches, a ReLU network is an affine function of its
input; so it should start with few activation patterns on the training set, and with few zeros.
(Zeros only hint at patterns: there is one pattern if no output is 0, and also if all are.) The
experiment:

* Many networks differ in their initial weights alone: PyTorch's initialisation with different
  seeds. Images of 28x28 go through 784-750-320-50-10 units, smaller images through fewer. A ReLU
  follows every layer, also the last one, as in the argument: a class whose output is 0 for every
  image is never learnt. --linear-output leaves out the last ReLU.
* Before training, relustat.watch counts the zeros on the training images, and activation_patterns
  the distinct patterns of each layer and of all layers.
* All networks are trained on the same batches by SGD, and tested on other images.
* The result is the correlation of each count with the test loss, with a bootstrapped 95 % interval.
  Of fewer than 20 networks there is no interval, and no correlation is given.

With seeds alone, zeros vary little. --shifts -0.2 0 0.2 adds networks with shifted initial biases,
which have fewer or more zeros. Each shift has its own colour. A correlation over all shifts may
come from the shift itself, and not from the zeros.

At the end the example prints the time to count the zeros of 10,000 images of 28x28.

Montufar et al., On the number of linear regions of deep neural networks, NeurIPS 2014.

    python examples/initialisation_study.py [--data MNIST] [--out picture.png]
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from correlations import FEWEST_PAIRS, RESAMPLES, Correlation
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import nn

import relustat
from relustat.analysis import activation_patterns
from relustat.demo import load_images

# Numbers of hidden units, for images of 28x28 and for smaller ones. With more units, every small
# image would have a pattern of its own.
WIDE, NARROW = (750, 320, 50), (32, 16, 12)
BATCH, TEST_BATCH = 64, 1000
AT_ONCE = 12  # networks; the gradients of more would be too large for memory that is kept mapped
ZEROS, PATTERNS = "share of zeros", "patterns"
AXES = {ZEROS: "share of ReLU outputs that are 0", PATTERNS: "distinct activation patterns"}
SAME, FEW = "the same for every network", f"fewer than {FEWEST_PAIRS} networks"


def make_model(inputs, widths, seed, *, shift=0.0, linear_output=False):
    torch.manual_seed(seed)
    layers = [nn.Flatten()]
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        layers[-2].bias.data += shift
        inputs = width
    return nn.Sequential(*(layers[:-1] if linear_output else layers)).eval()


def zeros_of(model, x):
    """Statistics of each ReLU."""
    with torch.no_grad(), relustat.watch(model, bins=None) as watch:
        for batch in x.split(TEST_BATCH):
            model(batch)
    return list(watch.stats.values())


def count(model, x):
    """What is counted before training: (what, layer) to number."""
    sites = zeros_of(model, x)
    patterns = activation_patterns(model, x.split(TEST_BATCH))
    counts = {(ZEROS, "all"): sum(s.zeros for s in sites) / sum(s.elements for s in sites)}
    counts |= {(ZEROS, layer): site.zero_fraction for layer, site in enumerate(sites, 1)}
    counts[PATTERNS, "all"] = patterns.network
    counts |= {(PATTERNS, layer): n for layer, n in enumerate(patterns.layers.values(), 1)}
    return counts


def losses_of(scores, labels):
    """scores: [models, images, classes]; the mean loss of each model."""
    losses = F.cross_entropy(scores.flatten(0, 1), labels.repeat(len(scores)), reduction="none")
    return losses.view(len(scores), -1).mean(1)


def train(models, images, steps, rate):
    """The models together, on the same batches; the test loss and accuracy of each."""
    parameters, _ = torch.func.stack_module_state(models)
    run = torch.func.vmap(
        lambda of_one, x: torch.func.functional_call(models[0], of_one, (x,)), in_dims=(0, None)
    )
    optimizer = torch.optim.SGD(parameters.values(), lr=rate)
    order = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(images.train_labels), (BATCH,), generator=order)
        optimizer.zero_grad()
        scores = run(parameters, images.train_images[chosen])
        losses_of(scores, images.train_labels[chosen]).sum().backward()
        optimizer.step()
    with torch.no_grad():
        batches = images.test_images.split(TEST_BATCH)
        scores = torch.cat([run(parameters, batch) for batch in batches], 1)
    right = scores.argmax(2) == images.test_labels
    return losses_of(scores, images.test_labels).numpy(), right.double().mean(1).numpy()


def correlate(counts, losses):
    """Prints a table, and gives the correlations by (what, layer), or why there is none."""
    is_few = len(losses) < FEWEST_PAIRS
    found = {
        key: FEW if is_few else Correlation.of(values, losses) or SAME
        for key, values in counts.items()
    }
    rows = [["counted", "layer", "from", "to", "Spearman", "Pearson", ""]]
    for (what, layer), correlation in found.items():
        values = counts[what, layer]
        row = [what, str(layer), *(f"{end:,.4g}" for end in (values.min(), values.max()))]
        if isinstance(correlation, str):
            row += ["", "", correlation]
        else:
            row += [str(correlation.spearman), str(correlation.pearson)]
            row += [correlation.in_words("test loss")]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    return found


def draw(counts, losses, shifts, correlations, path):
    """A row of panels for zeros, and one for patterns."""
    layers = list(dict.fromkeys(layer for _, layer in counts))
    figure = Figure(figsize=(2.4 * len(layers), 5.8), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    panels = figure.subplots(2, len(layers), sharey=True, squeeze=False)
    rows = {ZEROS: panels[0], PATTERNS: panels[1]}
    groups = np.unique(shifts)
    colours = colormaps["viridis"](np.linspace(0.2, 0.9, len(groups)))
    for (what, layer), values in counts.items():
        panel = rows[what][layers.index(layer)]
        for shift, colour in zip(groups, colours, strict=True):
            chosen = shifts == shift
            label = f"biases {shift:+g}"
            panel.scatter(values[chosen], losses[chosen], s=12, color=colour, label=label)
        correlation = correlations[what, layer]
        found = correlation if isinstance(correlation, str) else correlation.spearman
        name = f"layer {layer}" if layer != "all" else "all layers"
        panel.set_title(f"{name}\n{found}", fontsize=9)
        panel.set_xlabel(AXES[what], fontsize=8)
        panel.tick_params(labelsize=7)
    for row in rows.values():
        row[0].set_ylabel("test loss after training", fontsize=8)
    if len(groups) > 1:
        rows[ZEROS][0].legend(fontsize=7)
    figure.suptitle(
        f"Does what is counted before training foretell the test loss? {len(losses)} networks, "
        "a dot each, which differ in their initial weights alone",
        fontsize=10,
    )
    if len(losses) >= FEWEST_PAIRS:
        figure.supxlabel(
            "above each panel: Spearman's correlation of its two axes, from -1 to 1, and in "
            f"brackets its 95 % interval, from {RESAMPLES:,} resamples of the networks",
            fontsize=9,
        )
    figure.savefig(path, dpi=110)


def time_a_count():
    """Of the zeros of 10,000 images; random ones take as long as others."""
    model = make_model(28 * 28, (*WIDE, 10), seed=0)
    x = torch.rand(10_000, 28 * 28)
    zeros_of(model, x[:TEST_BATCH])
    begin = time.perf_counter()
    sites = zeros_of(model, x)
    seconds = time.perf_counter() - begin
    print(
        f"{len(x):,} random images of 28x28 through 784-750-320-50-10: "
        f"{sum(site.zeros for site in sites):,} zeros among "
        f"{sum(site.elements for site in sites):,} ReLU outputs, counted in {seconds:.2f} s, "
        "the network's own time included"
    )


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of MNIST's files, or of images")
    parser.add_argument(
        "--samples", type=int, default=5000, help="largest number of training images"
    )
    parser.add_argument("--seeds", type=int, default=60, help="number of networks for each shift")
    parser.add_argument(
        "--shifts", type=float, nargs="+", default=[0.0], help="shifts of the initial biases"
    )
    parser.add_argument("--linear-output", action="store_true", help="no ReLU on the outputs")
    parser.add_argument(
        "--steps", type=int, default=1000, help="number of training steps, of 64 images each"
    )
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate")
    parser.add_argument("--out", type=Path, default=Path("initialisation-study.png"))
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    return options


def load(options):
    """Images with mean 0 and variance 1 over the training set."""
    images = load_images(options.data, options.samples)
    mean, std = images.train_images.mean(), images.train_images.std()
    train, test = ((x - mean) / std for x in (images.train_images, images.test_images))
    return dataclasses.replace(images, train_images=train, test_images=test)


def main(arguments=None):
    options = parse(arguments)
    images = load(options)
    inputs = images.train_images[0].numel()
    widths = (*(WIDE if inputs >= 28 * 28 else NARROW), images.classes)
    shifts = np.repeat(options.shifts, options.seeds)
    models = [
        make_model(inputs, widths, seed, shift=shift, linear_output=options.linear_output)
        for seed, shift in enumerate(shifts)
    ]
    print(
        f"{images.name}: {len(images.train_labels):,} training and {len(images.test_labels):,} "
        f"test images; {len(models)} networks of {'-'.join(map(str, (inputs, *widths)))} units"
    )
    counted = [count(model, images.train_images) for model in models]
    counts = {key: np.array([each[key] for each in counted]) for key in counted[0]}
    trained = [
        train(models[first : first + AT_ONCE], images, options.steps, options.rate)
        for first in range(0, len(models), AT_ONCE)
    ]
    losses, accuracies = map(np.concatenate, zip(*trained, strict=True))
    if not np.isfinite(losses).all():
        raise SystemExit(
            f"initialisation_study: --rate must let the loss fall, got {options.rate}: "
            "it became infinite"
        )
    print(
        f"after {options.steps:,} steps: test loss {losses.min():.3f} to {losses.max():.3f}, "
        f"accuracy {accuracies.min():.1%} to {accuracies.max():.1%}\n\n"
        "Correlation with the test loss of what was counted before training"
        + (", [95 % intervals]" if len(models) >= FEWEST_PAIRS else "")
    )
    if len(options.shifts) > 1:
        for shift in options.shifts:
            print(f"\ninitial biases {shift:+g}")
            chosen = shifts == shift
            correlate({key: each[chosen] for key, each in counts.items()}, losses[chosen])
        print("\nall biases together: the shift itself may be the cause")
    correlations = correlate(counts, losses)
    if len(models) >= FEWEST_PAIRS:
        print("One interval in 20 leaves out 0 by chance, and no correlation names a cause.\n")
    draw(counts, losses, shifts, correlations, options.out)
    print(f"picture: {options.out} (relustat {relustat.__version__})")
    time_a_count()


if __name__ == "__main__":
    main()
