"""A file of models and data as `relustat analyze` is given one."""

import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from models import ResNet
from PIL import Image
from pooled_models import UNet
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

__all__ = ["ResNet", "UNet"]


def mlp(width=8, activation="relu"):
    assert activation == "relu"
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3), nn.ReLU())


def smooth():
    return nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3), nn.SiLU())


ready = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
nothing = 3


def no_module():
    return "a model"


def broken(width=8):
    raise RuntimeError(f"no weights\nof width {width}")


class Decoder(nn.Module):
    """OPT's feed-forward part, tokens and batch in one dimension, as Hugging Face writes it."""

    def __init__(self, layers=2):
        super().__init__()
        self.embed_tokens = nn.Embedding(50, 6)
        self.layers = nn.ModuleList(OPTLayer() for _ in range(layers))

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        assert not kwargs
        assert attention_mask is None or attention_mask.shape == input_ids.shape
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x)
        return {"last_hidden_state": x}


class OPTLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 10), nn.Linear(10, 6)
        self.activation_fn = nn.ReLU()

    def forward(self, x):
        h = self.activation_fn(self.fc1(x.reshape(-1, 6)))
        return x + self.fc2(h).view(x.shape)


class Seeded(nn.ReLU):
    """Its arguments have names that the command uses, too."""

    def __init__(self, seed, function):
        super().__init__()
        self.seed, self.function = seed, function


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 5), nn.Linear(3, 5)

    def forward(self, left, right, scale=1.0):
        return F.relu(self.left(left) + scale * self.right(right))


def numbers(count=21):
    return torch.arange(count * 4.0).view(count, 4) - 40


def dataset():
    return TensorDataset(numbers(), torch.zeros(21))


def shuffled():
    return DataLoader(dataset(), batch_size=4, shuffle=True)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(dataset())


def stream():
    return Stream()


def exits():
    raise SystemExit(0)


def nones():
    return [None]


class Noisy(nn.Module):
    """Its outputs are random, as with dropout."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 8)

    def forward(self, x):
        return F.relu(F.dropout(self.fc(x), 0.5))


class RandomOrder(list):
    """Batches that Python's own random numbers order anew."""

    def __iter__(self):
        order = list(range(len(self)))
        random.shuffle(order)
        return iter([self[index] + np.random.standard_normal() for index in order])  # noqa: NPY002


def random_order():
    return RandomOrder(numbers(40).split(4))


def endless():
    while True:
        yield numbers(4)


def failing():
    yield numbers(4)
    raise OSError("the disk is gone")


class Slow(Dataset):
    """Writes down which samples were loaded, so that a test sees how far a process is."""

    def __len__(self):
        return 60

    def __getitem__(self, index):
        with open(os.environ["LOADED"], "a") as file:
            file.write(f"{index}\n")
        time.sleep(float(os.environ["SECONDS"]))
        return numbers(60)[index]


def slow():
    return Slow()


def make_images(folder, names, size=(40, 30)):
    """Images of one colour each, which is different for each."""
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((size[1], size[0], 3), (index * 9, 100, 255 - index), np.uint8)
        Image.fromarray(pixels).save(path)
