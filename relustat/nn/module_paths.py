"""The paths of a model's modules, as a user knows them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn


def named_modules(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each module of a model once, with its path."""
    for path, module in model.named_modules():
        yield module, plain_path(path)


def uncompiled(model: nn.Module) -> nn.Module:
    """The model that ``torch.compile`` was given."""
    # TorchScript has other dicts of modules.
    return dict(model.named_children()).get("_orig_mod", model)


def plain_path(path: str) -> str:
    """The path without the names that ``torch.compile`` adds."""
    return ".".join(name for name in path.split(".") if name != "_orig_mod")


def check_is_module(op: str, model: object) -> None:
    """Raises a TypeError if a model is none."""
    if not isinstance(model, nn.Module):
        is_exported = isinstance(model, torch.export.ExportedProgram)
        hint = "; its module() is one" if is_exported else ""
        raise TypeError(f"{op}: model must be an nn.Module, got {type(model).__name__}{hint}")
