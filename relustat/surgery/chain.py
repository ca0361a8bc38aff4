"""The way of a layer's units: from the layer, by a ReLU, to the layers that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import fx, nn

from relustat._hooks import foreign_hooks
from relustat._torch_internals import FEED_FORWARD_METHODS

from . import steps
from .calls_of_modules import UntraceableError, graphs_of


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

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all its modules that have parameters."""
        return (self.layer, *self.norms, *(reader.path for reader in self.readers))


class NoChainError(Exception):
    """Why the units have no such way."""


def module_at(model: nn.Module, path: str) -> Any:
    """The module at a path, with the attributes of whatever it is."""
    return model.get_submodule(path)


def chain_of(model: nn.Module, made_by: str) -> Chain:
    """The chain of the units that the layer, or batch norm, at a path makes.

    The code of the whole model is read, in training and in evaluation, because a part does not
    tell what is done with its modules elsewhere. Where it cannot be, only the feed-forward parts of
    PyTorch's own transformer layers are known.

    Raises:
        NoChainError: if there is none, or not the same in all modes.
    """
    hooked = next((path for path, each in model.named_modules() if foreign_hooks(each)), None)
    if hooked is not None:
        where = hooked or type(model).__name__
        raise NoChainError(f"{where} has a forward hook, which may change or read them")
    parent = made_by.rpartition(".")[0]
    is_transformer = isinstance(module_at(model, parent), tuple(FEED_FORWARD_METHODS))
    path = parent if is_transformer else ""
    try:
        chains = {
            _Walk(model, path, graph).chain(made_by) for graph in graphs_of(module_at(model, path))
        }
    except UntraceableError as error:
        raise NoChainError(f"the code of the model cannot be traced: {error}") from None
    if len(chains) > 1:
        raise NoChainError("they are read in another way in training, or with other arguments")
    return chains.pop()


class _Walk:
    """A walk through the calls of the module at a path."""

    def __init__(self, model: nn.Module, path: str, graph: fx.Graph) -> None:
        self._model, self._path, self._graph = model, path, graph

    def chain(self, made_by: str) -> Chain:
        calls = [node for node in self._graph.nodes if self._path_of(node) == made_by]
        if not calls:
            raise NoChainError(f"no call of {made_by} was seen when the code was traced")
        layer = calls[0]
        while self._is_batch_norm(layer):
            self._check_only_call(layer)
            (layer,) = layer.all_input_nodes
        axes = steps.axes_of(self._module(layer))
        if axes is None:
            kinds = ", ".join(kind.__name__ for kind in steps.LAYERS)
            raise NoChainError(f"their layer must be one of {kinds}, got {self._described(layer)}")
        self._check_only_call(layer)
        way = list(self._to_relu(layer, axes))
        norms = [self._path_of(node) for node in way if self._is_batch_norm(node)]
        readers = tuple(self._readers(layer, way, axes))
        return Chain(self._path_of(layer), tuple(norms), readers)

    def _check_only_call(self, node: fx.Node) -> None:
        module, path = self._module(node), self._path_of(node)
        calls = sum(self._module(each) is module for each in self._graph.nodes)
        if calls > 1:
            raise NoChainError(f"{path} is called {calls} times")
        for other in self._graph.nodes:
            if other.op == "get_attr" and str(other.target).startswith(f"{node.target}."):
                raise NoChainError(f"{self._joined(other)} is read by other code, too")

    def _to_relu(self, layer: fx.Node, axes: int) -> Iterator[fx.Node]:
        """The calls behind a layer, to the first ReLU."""
        units = steps.outputs_of(self._module(layer))
        node = layer
        while True:
            readers = [user for user in node.users if not steps.is_shape(user)]
            if len(readers) != 1:
                raise NoChainError(f"{len(readers)} calls read {self._described(node)}")
            (node,) = readers
            module = self._module(node)
            yield node
            if steps.is_relu(node, module, axes):
                return
            if steps.is_norm(module, axes, units):
                self._check_only_call(node)
            elif not steps.is_same(node, module):
                raise NoChainError(f"{self._described(node)} comes before a ReLU")

    def _readers(self, layer: fx.Node, way: list[fx.Node], axes: int) -> Iterator[Reader]:
        ahead = [(user, False) for user in way[-1].users]
        of_batch = {*layer.all_input_nodes, layer, *way}
        found = 0
        while ahead:
            node, is_flat = ahead.pop(0)
            module = self._module(node)
            if steps.is_shape(node):
                continue
            if steps.axes_of(module) is not None:
                self._check_only_call(node)
                found += 1
                yield self._reader(node, layer, is_flat)
                continue
            is_kept = steps.is_same(node, module) or steps.is_relu(node, module, 0)
            if not is_kept and not is_flat and axes:
                is_kept = steps.is_pool(node, module, axes) or steps.is_relu(node, module, axes)
            is_flattened = axes > 0 and steps.flattens(node, module, of_batch)
            if not is_kept and not is_flattened:
                raise NoChainError(f"{self._described(node)} reads them")
            of_batch.add(node)
            ahead += [(user, is_flat or is_flattened) for user in node.users]
        if not found:
            raise NoChainError("no layer reads them")

    def _reader(self, node: fx.Node, layer: fx.Node, is_flat: bool) -> Reader:
        reader, made = self._module(node), self._module(layer)
        if isinstance(reader, nn.Linear):
            fits = isinstance(made, nn.Linear) or is_flat
            inputs = reader.in_features
        else:
            axes = steps.axes_of(reader)
            fits = axes == steps.axes_of(made) and not is_flat and reader.groups == 1
            inputs = reader.in_channels
        positions, left = divmod(inputs, steps.outputs_of(made))
        if not fits or left or (positions > 1 and not is_flat):
            path = self._path_of(node)
            raise NoChainError(f"{self._described(node)} at {path} reads them in another way")
        return Reader(self._path_of(node), positions)

    def _is_batch_norm(self, node: fx.Node) -> bool:
        return isinstance(self._module(node), (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))

    def _module(self, node: fx.Node) -> Any:
        return module_at(self._model, self._joined(node)) if node.op == "call_module" else None

    def _path_of(self, node: fx.Node) -> str:
        return self._joined(node) if node.op == "call_module" else ""

    def _joined(self, node: fx.Node) -> str:
        return f"{self._path}.{node.target}" if self._path else str(node.target)

    def _described(self, node: fx.Node) -> str:
        if node.op == "output":
            return "the end of the code"
        if node.op == "call_module":
            return f"a {type(self._module(node)).__name__}"
        return str(getattr(node.target, "__name__", node.target))
