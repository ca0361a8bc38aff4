"""Random inputs of the shape that a model's first layer takes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from relustat.cli.seeds import mixed

_CONVOLUTIONS = {nn.Conv1d: (1024,), nn.Conv2d: (224, 224), nn.Conv3d: (16, 112, 112)}
_TOKENS = (128,)


class Kind(NamedTuple):
    """What one input is.

    Attributes:
        shape: its size.
        vocabulary: it is of integers below this; None: of numbers.
        layer: the layer that told it; empty if none did.
    """

    shape: tuple[int, ...]
    vocabulary: int | None
    layer: str


def taken_by(model: nn.Module) -> Kind:
    """What the first layer of a model takes, in the order in which its layers were made."""
    for path, layer in model.named_modules():
        if isinstance(layer, nn.Embedding):
            return Kind(_TOKENS, layer.num_embeddings, path)
        # A lazy layer has no sizes yet.
        if isinstance(layer, nn.Linear) and layer.in_features:
            return Kind((layer.in_features,), None, path)
        for kind, sizes in _CONVOLUTIONS.items():
            if isinstance(layer, kind) and layer.in_channels:
                return Kind((layer.in_channels, *sizes), None, path)
    return Kind((3, 224, 224), None, "")


class RandomInputs(Dataset[Tensor]):
    """Inputs of a normal distribution, or tokens; each has its own seed.

    Args:
        count: the number of inputs.
        kind: what they are.
        seed: the seed.
    """

    def __init__(self, count: int, kind: Kind, seed: int) -> None:
        self._count = count
        self._kind = kind
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(mixed(self._seed, index))
        if self._kind.vocabulary is None:
            return torch.randn(self._kind.shape, generator=generator)
        return torch.randint(self._kind.vocabulary, self._kind.shape, generator=generator)
