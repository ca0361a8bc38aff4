"""Private names of PyTorch are used in two files only, and each is there."""

import ast
from pathlib import Path

import pytest

import relustat
from relustat import _dynamo, _torch_internals

PACKAGE = Path(relustat.__file__).parent
ALLOWED = {PACKAGE / "_dynamo.py", PACKAGE / "_torch_internals.py"}


def is_private(dotted):
    root, *names = dotted.split(".")
    return root == "torch" and any(
        name.startswith("_") and not name.startswith("__") for name in names
    )


def private_names(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if is_private(each.name))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for each in node.names:
                if is_private(f"{node.module}.{each.name}"):
                    yield f"{node.module}.{each.name}"
        elif isinstance(node, ast.Attribute) and is_private(ast.unparse(node)):
            yield ast.unparse(node)


def test_what_is_private_is_found():
    source = """
import torch._dynamo
from torch._C import f
from torch.utils._pytree import tree_iter
from torch import nn
from ._torch_internals import function_modes
def g(module):
    return torch._C._len_torch_function_stack() + torch.nn.ReLU + module._forward_hooks
"""
    assert set(private_names(source)) == {
        *("torch._dynamo", "torch._C.f", "torch.utils._pytree.tree_iter"),
        *("torch._C._len_torch_function_stack", "torch._C"),
    }


@pytest.mark.parametrize(
    "path",
    sorted(set(PACKAGE.rglob("*.py")) - ALLOWED),
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_no_other_file_uses_them(path):
    assert list(private_names(path.read_text())) == []


@pytest.mark.parametrize("module", [_dynamo, _torch_internals], ids=lambda module: module.__name__)
def test_all_that_is_promised_is_there(module):
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
