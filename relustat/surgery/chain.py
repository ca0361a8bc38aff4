"""The way of a layer's units: from the layer, by a ReLU, to the layers that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from relustat.nn.counting_activations import CountingReLU6
from relustat.nn.counting_relu import CountingReLU
from relustat.nn.relu_max_pool import ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d
from relustat.watching.relu_calls import find_relu_call

from .calls_of_modules import calls_of, function_of

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_RELUS = (
    *(nn.ReLU, nn.ReLU6, CountingReLU, CountingReLU6),
    *(ReLUMaxPool1d, ReLUMaxPool2d, ReLUMaxPool3d),
)
_SAME = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
# Of units that are all 0 these give 0.
_POOLS = tuple(
    getattr(nn, f"{kind}{axes}d")
    for kind in ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool")
    for axes in (1, 2, 3)
)
_POOL_FUNCTIONS = {
    getattr(F, f"{kind}{axes}d")
    for kind in ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool")
    for axes in (1, 2, 3)
} | {getattr(torch, f"max_pool{axes}d") for axes in (1, 2, 3)}
_SAME_FUNCTIONS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, Tensor.contiguous}
_FLATTENING = {torch.flatten, Tensor.flatten, Tensor.view, Tensor.reshape, torch.reshape}
_SHAPES = {Tensor.size, Tensor.dim}


def module_at(model: nn.Module, path: str) -> Any:
    """The module at a path, with the attributes of whatever it is."""
    return model.get_submodule(path)


class Reader(NamedTuple):
    """A layer that reads units.

    Attributes:
        path: that of the layer.
        positions: the number of its inputs that one unit has, in a row.
    """

    path: str
    positions: int


class Chain(NamedTuple):
    """Where the units of a call site are made, and where they are read.

    Attributes:
        layer: the path of the convolution or linear layer that makes them.
        norms: the paths of the batch norms between it and the ReLU.
        readers: the layers that read what the ReLU gives.
    """

    layer: str
    norms: tuple[str, ...]
    readers: tuple[Reader, ...]


class NoChainError(Exception):
    """Why the units have no such way."""


class _LeavesError(NoChainError):
    """The units leave the module whose code was looked at."""


def chain_of(model: nn.Module, made_by: str) -> Chain:
    """The chain of the units that the layer, or batch norm, at a path makes.

    The code of the smallest module that has all of it is looked at, so the rest of the model need
    not be traceable. As far as it is, nothing else in it may call these layers.

    Raises:
        NoChainError: if there is none.
    """
    names = made_by.split(".")
    reason = NoChainError(f"no code that calls {made_by} could be traced")
    found = None
    for length in range(len(names) - 1, -1, -1):
        path = ".".join(names[:length])
        graph = calls_of(model.get_submodule(path))
        if graph is None:
            continue
        walk = _Walk(model, path, graph)
        if found is not None:
            walk.check_calls_once(found)
            continue
        try:
            found = walk.chain(".".join(names[length:]))
        except _LeavesError as left:
            reason = left
    if found is None:
        raise NoChainError(str(reason))
    return found


class _Walk:
    """A walk through the calls of the module at a path."""

    def __init__(self, model: nn.Module, path: str, graph: fx.Graph) -> None:
        self._model, self._path, self._graph = model, path, graph

    def chain(self, made_by: str) -> Chain:
        called = [n for n in self._graph.nodes if n.op == "call_module" and n.target == made_by]
        if not called:
            raise _LeavesError(f"{made_by} is not called by code that could be traced")
        layer = self._only_call(called[0])
        while isinstance(self._module(layer), _NORMS):
            (source,) = layer.all_input_nodes
            layer = self._only_call(source)
        if not isinstance(self._module(layer), LAYERS):
            kinds = ", ".join(kind.__name__ for kind in LAYERS)
            raise NoChainError(f"their layer must be one of {kinds}, got {self._described(layer)}")
        norms, relu = self._to_relu(layer)
        readers = tuple(self._readers(relu, layer))
        return Chain(self._path_of(layer), tuple(map(self._path_of, norms)), readers)

    def check_calls_once(self, chain: Chain) -> None:
        """Raises a NoChainError if a layer of the chain is called again."""
        readers = [reader.path for reader in chain.readers]
        modules = {module_at(self._model, path) for path in (chain.layer, *chain.norms, *readers)}
        for node in self._graph.nodes:
            if self._module(node) in modules:
                self._only_call(node)

    def _only_call(self, node: fx.Node) -> fx.Node:
        module = self._module(node)
        calls = [n for n in self._graph.nodes if module is not None and self._module(n) is module]
        if len(calls) > 1:
            raise NoChainError(f"{self._path_of(node)} is called {len(calls)} times")
        for other in self._graph.nodes:
            if other.op == "get_attr" and str(other.target).startswith(f"{node.target}."):
                raise NoChainError(f"{self._path_of(other)} is read by other code, too")
        return node

    def _to_relu(self, layer: fx.Node) -> tuple[list[fx.Node], fx.Node]:
        norms: list[fx.Node] = []
        node = layer
        while True:
            readers = [user for user in node.users if not _is_shape(user)]
            if len(readers) != 1:
                raise NoChainError(f"{len(readers)} calls read {self._described(node)}")
            (node,) = readers
            if node.op == "output":
                raise _LeavesError(f"{self._described(layer)} is followed by no ReLU")
            module = self._module(node)
            if self._is_relu(node):
                return norms, node
            if isinstance(module, _NORMS):
                norms.append(self._only_call(node))
            elif not self._is_same(node):
                raise NoChainError(f"{self._described(node)} comes before the ReLU")

    def _readers(self, relu: fx.Node, layer: fx.Node) -> Iterator[Reader]:
        made = self._module(layer)
        units = made.out_features if isinstance(made, nn.Linear) else made.out_channels
        ahead = [(user, False) for user in relu.users]
        found = 0
        while ahead:
            node, is_flat = ahead.pop(0)
            module = self._module(node)
            if _is_shape(node):
                continue
            if isinstance(module, LAYERS):
                self._only_call(node)
                yield self._reader(node, layer, units, is_flat)
                found += 1
            elif self._keeps(node, layer):
                ahead += [(user, is_flat) for user in node.users]
            elif _flattens(node, module) and isinstance(made, LAYERS[1:]):
                ahead += [(user, True) for user in node.users]
            elif node.op == "output":
                raise _LeavesError(f"they leave the {self._name_of_code()}")
            else:
                raise NoChainError(f"{self._described(node)} reads them")
        if not found:
            raise NoChainError("no layer reads them")

    def _reader(self, node: fx.Node, layer: fx.Node, units: int, is_flat: bool) -> Reader:
        reader, made = self._module(node), self._module(layer)
        path = self._path_of(node)
        if isinstance(reader, nn.Linear):
            fits = isinstance(made, nn.Linear) or is_flat
            inputs = reader.in_features
        else:
            fits = type(reader) is type(made) and not is_flat and reader.groups == 1
            inputs = reader.in_channels
        positions, left = divmod(inputs, units)
        if not fits or left or (positions > 1 and not is_flat):
            raise NoChainError(f"{self._described(node)} at {path} reads them in another way")
        return Reader(path, positions)

    def _keeps(self, node: fx.Node, layer: fx.Node) -> bool:
        """Whether units stay where they are, and stay 0."""
        if self._is_relu(node) or self._is_same(node):
            return True
        if isinstance(self._module(layer), nn.Linear):
            return False
        return isinstance(self._module(node), _POOLS) or function_of(node) in _POOL_FUNCTIONS

    def _is_relu(self, node: fx.Node) -> bool:
        if isinstance(self._module(node), _RELUS):
            return True
        function = function_of(node)
        if function in (F.relu6, F.hardtanh):
            return function is F.relu6
        return function is not None and find_relu_call(function, node.args, node.kwargs) is not None

    def _is_same(self, node: fx.Node) -> bool:
        return isinstance(self._module(node), _SAME) or function_of(node) in _SAME_FUNCTIONS

    def _module(self, node: fx.Node) -> Any:
        if node.op != "call_module":
            return None
        return module_at(self._model, self._path_of(node))

    def _path_of(self, node: fx.Node) -> str:
        return f"{self._path}.{node.target}" if self._path else str(node.target)

    def _name_of_code(self) -> str:
        return self._path or type(self._model).__name__

    def _described(self, node: fx.Node) -> str:
        module = self._module(node)
        if module is not None:
            return f"a {type(module).__name__}"
        return str(getattr(node.target, "__name__", node.target))


def _is_shape(node: fx.Node) -> bool:
    if function_of(node) is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    return function_of(node) in _SHAPES


def _flattens(node: fx.Node, module: Any) -> bool:
    """Whether all dimensions but the batch become one."""
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1 and module.end_dim == -1
    function = function_of(node)
    if function in (torch.flatten, Tensor.flatten):
        dims = (*node.args[1:], *node.kwargs.values())
        return dims in ((1,), (1, -1))
    if function not in _FLATTENING:
        return False
    sizes: Any = node.args[1:]
    sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return len(sizes) == 2 and isinstance(sizes[0], fx.Node) and sizes[1] == -1
