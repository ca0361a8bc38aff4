"""Gradient norms of a small CNN at good and bad learning rates: as tables, a picture and sound.

The same network is trained from the same start on the same 200 batches of 10 images, with several
optimizers. The norm of each layer's gradient is recorded at each step. In the sound, each step is a
tone for each layer, first to last, and a rest. A larger norm is a higher tone.

* SGD, learning rate 0.01: low tones that hardly change. The network learns little in 200 steps.
* SGD, 0.1: the tones rise while the network learns, and differ more from batch to batch.
* SGD, 1.0: two loud bursts, then a low hum. All ReLUs of two layers have died: the gradients below
  the last layer are exactly 0 (dots at the bottom of the picture), and only its bias still learns.
* SGD with the wrong sign: nothing for 80 steps, then the tones rise to the top. The numbers
  overflow, and NaN is heard as noise.
* Adam, 0.01: lively from the first steps.

Source: C. S. Perone, "Listening to the neural network gradient norms during training", Terra
Incognita, 2019, with MNIST.

    python examples/gradient_norms.py [--data folder-of-IDX-files] [--out PNG]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from relustat.analysis import GradientNorms
from relustat.demo import load_images, make_model

STEPS, BATCH = 200, 10

SETTINGS = {
    "SGD 0.01": (torch.optim.SGD, {"lr": 0.01, "momentum": 0.5}),
    "SGD 0.1": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.5}),
    "SGD 1.0": (torch.optim.SGD, {"lr": 1.0, "momentum": 0.5}),
    "SGD 0.03, wrong sign": (torch.optim.SGD, {"lr": 0.03, "momentum": 0.5, "maximize": True}),
    "Adam 0.01": (torch.optim.Adam, {"lr": 0.01}),
}


def train(images, optimizer_class, options):
    """Trains a network from the same start on the same batches; returns its gradient norms."""
    torch.manual_seed(0)
    model = make_model(images)
    optimizer = optimizer_class(model.parameters(), **options)
    norms = GradientNorms(model)
    for _ in range(STEPS):
        chosen = torch.randint(len(images.train_labels), (BATCH,))
        loss = F.cross_entropy(model(images.train_images[chosen]), images.train_labels[chosen])
        loss.backward()
        norms.record()
        optimizer.step()
        optimizer.zero_grad()
    return norms


def limits(found):
    """The ends of the axis of all panels: norms of runs that stay finite, with room for the dots.

    One run that overflows would press all others flat; it leaves its panel at the top.
    """
    shown = np.concatenate([norms.values.ravel() for norms in found if not norms.not_finite])
    low, high = np.log10(shown[shown > 0].min()), np.log10(shown.max())
    return 10 ** (low - 0.15 * (high - low)), 10 ** (high + 0.1 * (high - low))


def draw(found, path):
    figure = Figure(figsize=(11, 6), layout="constrained")
    *panels, legend = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    labelled = {}
    for axes, (name, norms) in zip(panels, found.items(), strict=True):
        norms.draw(axes)
        axes.set_title(name, fontsize=11)
        handles, labels = axes.get_legend_handles_labels()
        labelled.update(zip(labels, handles, strict=True))
    panels[0].set_ylim(limits(found.values()))
    # Below this panel there is none, only the legend.
    panels[2].tick_params(labelbottom=True)
    legend.axis("off")
    legend.legend(
        labelled.values(),
        labelled.keys(),
        title="gradient of the weights and biases of",
        loc="center",
        frameon=False,
    )
    figure.suptitle("A small CNN with several optimizers and learning rates", fontsize=12)
    figure.supxlabel("step", fontsize=10)
    figure.supylabel("L2 norm of a layer's gradient (dots at the bottom: 0)", fontsize=10)
    figure.savefig(path, dpi=110)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="MNIST's files; default: scikit-learn's digits")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("gradient-norms.png"),
        help="the picture; sounds are written next to it",
    )
    options = parser.parse_args(arguments)
    if not options.out.parent.is_dir():
        parser.error(f"--out must be in a folder that exists, got {options.out}")

    images = load_images(options.data, samples=10_000)
    found = {}
    for name, (optimizer_class, settings) in SETTINGS.items():
        norms = found[name] = train(images, optimizer_class, settings)
        setting = name.lower().replace(",", "").replace(" ", "-")
        sound = options.out.with_name(f"{options.out.stem}-{setting}.wav")
        norms.to_wav(sound)
        print(f"{name}: {sound}\n{norms}\n")
    draw(found, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
