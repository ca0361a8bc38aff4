"""``relustat demo``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import relustat.demo.run as demo

from .arguments import folder, positive, rate, seed


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="train a small CNN and show what its ReLUs do",
        description="Trains a small CNN on images, watching every ReLU; prints a table before and\n"
        "after training and what changed; writes two pages, a figure, a JSON and a CSV file.",
    )
    parser.add_argument(
        "--data",
        type=folder,
        help="a folder of images (a subfolder for each class), or of IDX files of MNIST or "
        "Fashion-MNIST; without it, scikit-learn's digits",
    )
    parser.add_argument(
        "--output",
        type=folder,
        default=Path("relustat-demo"),
        help="the folder to write to (default: relustat-demo)",
    )
    parser.add_argument(
        "--epochs", type=positive, default=8, help="number of passes over the images (default: 8)"
    )
    parser.add_argument(
        "--samples",
        type=positive,
        default=10000,
        help="largest number of training images (default: 10000)",
    )
    parser.add_argument(
        "--learning-rate",
        type=rate,
        default=0.1,
        help="learning rate of SGD with momentum 0.9 (default: 0.1)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        help="seed of the weights and of the order of images (default: 0)",
    )
    return parser


def run(options: argparse.Namespace) -> None:
    demo.run(
        options.data,
        options.output,
        epochs=options.epochs,
        samples=options.samples,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
