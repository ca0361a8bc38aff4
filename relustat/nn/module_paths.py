"""The paths of a model's modules, as a user knows them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def named_modules(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each module of a model once, with its path."""
    for path, module in model.named_modules():
        yield module, plain_path(path)


def uncompiled(model: nn.Module) -> nn.Module:
    """The model that ``torch.compile`` was given."""
    original = model._modules.get("_orig_mod")
    return model if original is None else original


def plain_path(path: str) -> str:
    """The path without the names that ``torch.compile`` adds."""
    return ".".join(name for name in path.split(".") if name != "_orig_mod")


def computes_relu(module: nn.Module) -> bool:
    if isinstance(module, nn.Threshold):
        return bool(module.threshold == 0 == module.value)
    return isinstance(module, nn.ReLU)
