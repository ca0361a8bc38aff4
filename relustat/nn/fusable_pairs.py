"""Which ReLUs of a model have a pool as the only reader of their output."""

from __future__ import annotations

import copy
import operator
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import fx, nn

Site = tuple[str, str, int]
"""A call in the source: its module, function and line."""

# Between a forward that calls a module and the module's own.
_BETWEEN = frozenset({"torch.nn.modules.module", "torch.fx._symbolic_trace"})

# What returns memory of its own: nobody else sees it if a ReLU writes over it.
_FRESH_MODULES = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm),
)
_FRESH_FUNCTIONS: frozenset[Any] = frozenset(
    {torch.add, torch.cat, operator.add, operator.mul, operator.sub}
)


class Neighbours(NamedTuple):
    """The modules around the calls of a ReLU in one line.

    Attributes:
        pools: those behind it.
        producers: those before it, if it writes over what they give.
    """

    pools: tuple[nn.Module, ...]
    producers: tuple[nn.Module, ...]


class Pairs(NamedTuple):
    """What :func:`find_pairs` finds.

    Attributes:
        neighbours: of each ReLU with a pool behind it, by the lines of its calls.
        why_not: of each pool with a call that is not behind such a ReLU, the reason.
    """

    neighbours: dict[nn.Module, dict[Site, Neighbours]]
    why_not: dict[nn.Module, str]


def call_site() -> Site:
    """The innermost line outside of this package and of PyTorch's way to a forward."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _BETWEEN:
        frame = frame.f_back
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name, frame.f_lineno


def find_pairs(
    model: nn.Module, relus: Collection[nn.Module], pools: Collection[nn.Module]
) -> Pairs:
    """Looks for pairs of a ReLU and a pool in traces by ``torch.fx``, in both modes.

    What cannot be traced is looked into: each of its modules may still be.

    Args:
        model: it is not changed; a copy without its parameters is traced.
        relus, pools: modules of the model.
    """
    try:
        shared = {id(parameter): parameter for parameter in model.parameters()}
        skeleton = copy.deepcopy(model, shared)
    except Exception as error:
        reason = f"{type(model).__name__} cannot be copied for a trace: {_first_line(error)}"
        return Pairs({}, dict.fromkeys(pools, reason))
    originals = dict(zip(skeleton.modules(), model.modules(), strict=True))
    traces = _Traces()
    with torch.random.fork_rng(devices=[]):
        graphs = traces.of(skeleton)
    found = _Found(originals, relus, pools)
    for each in graphs:
        found.read(each)
    return found.pairs(
        {originals[module]: reason for module, reason in traces.opaque.items()}, model
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


class _Tracer(fx.Tracer):
    """Notes the line of each call of a module."""

    SITE = "relustat_site"

    def __init__(self, opaque: Collection[nn.Module]) -> None:
        super().__init__()
        self.opaque = opaque

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return m in self.opaque or is_leaf(m)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            # Not that of a call which gives the result of another one.
            result.node.meta.setdefault(self.SITE, call_site())
        return result


def is_leaf(module: nn.Module) -> bool:
    """Whether a module is PyTorch's own or relustat's, and no container."""
    home = type(module).__module__
    is_ours = home.startswith(f"{__name__.partition('.')[0]}.")
    return (is_ours or home.startswith("torch.nn.")) and not isinstance(module, nn.Sequential)


class _Graph(NamedTuple):
    root: nn.Module
    graph: fx.Graph


class _Traces:
    """Traces as much of a model as can be.

    Attributes:
        opaque: the modules that cannot be traced, and why.
    """

    def __init__(self) -> None:
        self.opaque: dict[nn.Module, str] = {}

    def of(self, module: nn.Module) -> list[_Graph]:
        """The graphs of a module, and of all inside of it that are not in one of these."""
        own, inside = self._visit(module)
        return [*own, *inside]

    def _visit(self, module: nn.Module) -> tuple[list[_Graph], list[_Graph]]:
        """The graphs of a module, and those of modules inside of opaque ones."""
        if module in self.opaque:
            return [], []
        graphs = self._try(module)
        if graphs:
            return graphs, []
        known = len(self.opaque)
        parts = [self._visit(child) for child in module.children() if not is_leaf(child)]
        inside = [each for _, below in parts for each in below]
        if len(self.opaque) > known:
            graphs = self._try(module)
        if graphs:
            del self.opaque[module]
            return graphs, inside
        return [], [*inside, *(each for own, _ in parts for each in own)]

    def _try(self, module: nn.Module) -> list[_Graph]:
        graphs = []
        for is_training in (True, False):
            module.train(is_training)
            try:
                graphs.append(_Graph(module, _Tracer(self.opaque).trace(module)))
            except Exception as error:  # a forward may raise anything if it is given a proxy
                self.opaque[module] = _first_line(error)
                return []
        return graphs


class _Found:
    """What graphs say of the calls of ReLUs and pools."""

    def __init__(
        self,
        originals: dict[nn.Module, nn.Module],
        relus: Collection[nn.Module],
        pools: Collection[nn.Module],
    ) -> None:
        self.originals = originals
        self.relus = relus
        self.pools = pools
        self.calls: dict[tuple[nn.Module, Site], list[tuple[nn.Module, nn.Module | None]]] = {}
        self.others: set[tuple[nn.Module, Site]] = set()
        self.why_not: dict[nn.Module, str] = {}
        self.seen: set[nn.Module] = set()

    def read(self, graph: _Graph) -> None:
        """Takes in the calls of one graph."""
        self._root = graph.root
        for node in graph.graph.nodes:
            module = self._module(node)
            if module is None:
                continue
            if module in self.relus:
                self._read_relu(module, node)
            elif module in self.pools:
                self.seen.add(module)
                before = node.all_input_nodes[0] if node.all_input_nodes else None
                if before is not None and self._module(before) not in self.relus:
                    self.why_not.setdefault(module, self._what_is_before(before))

    def pairs(self, opaque: dict[nn.Module, str], model: nn.Module) -> Pairs:
        """The result. A line that also calls the ReLU in another way is left out."""
        neighbours: dict[nn.Module, dict[Site, Neighbours]] = {}
        for (relu, site), calls in self.calls.items():
            if (relu, site) in self.others:
                for pool, _ in calls:
                    self.why_not.setdefault(pool, "the same line calls its ReLU without a pool")
                continue
            neighbours.setdefault(relu, {})[site] = Neighbours(
                tuple(dict.fromkeys(pool for pool, _ in calls)),
                tuple(dict.fromkeys(each for _, each in calls if each is not None)),
            )
        for pool in self.pools:
            if pool not in self.seen:
                self.why_not[pool] = _why_unseen(pool, opaque, model)
        return Pairs(neighbours, self.why_not)

    def _read_relu(self, relu: nn.Module, node: fx.Node) -> None:
        key = relu, node.meta[_Tracer.SITE]
        readers = list(node.users)
        pools = [self._module(each) for each in readers if self._module(each) in self.pools]
        why_not = self._why_not(relu, node, readers) if pools else "no pool"
        if not why_not:
            source = self._module(node.all_input_nodes[0]) if relu.inplace else None
            self.calls.setdefault(key, []).append((pools[0], source))  # type: ignore[arg-type]
            return
        self.others.add(key)
        for pool in pools:
            self.why_not.setdefault(pool, why_not)  # type: ignore[arg-type]

    def _why_not(self, relu: nn.Module, node: fx.Node, readers: list[fx.Node]) -> str:
        others = [self._name(each) for each in readers if self._module(each) not in self.pools]
        if others:
            return f"its ReLU's output is also read by {', '.join(others)}"
        if len(readers) > 1:
            return "its ReLU's output is read by several pools"
        if not relu.inplace:
            return ""
        source = node.all_input_nodes[0]
        others = [self._name(each) for each in source.users if each is not node]
        if others:
            return f"its ReLU writes over an input that is also read by {', '.join(others)}"
        is_fresh = source.op == "call_function" and source.target in _FRESH_FUNCTIONS
        if isinstance(self._module(source), _FRESH_MODULES) or is_fresh:
            return ""
        return f"its ReLU writes over what {self._name(source)} gives, which others may see"

    def _what_is_before(self, node: fx.Node) -> str:
        module = self._module(node)
        if node.op == "placeholder":
            return f"its input comes from outside of {type(self._root).__name__}"
        if isinstance(module, nn.ReLU):
            return "its ReLU is not swapped"
        if module is None and "relu" in self._name(node):
            return "its ReLU is a function, no module"
        return f"its input comes from {self._name(node)}, not from a ReLU"

    def _module(self, node: fx.Node) -> nn.Module | None:
        """The module of the model that a node calls."""
        if node.op != "call_module":
            return None
        return self.originals[self._root.get_submodule(str(node.target))]

    def _name(self, node: fx.Node) -> str:
        if node.op == "output":
            return "the caller"
        if node.op == "call_module":
            return str(node.target)
        return str(getattr(node.target, "__name__", node.target))


def _why_unseen(pool: nn.Module, opaque: dict[nn.Module, str], model: nn.Module) -> str:
    """The innermost module around a pool that cannot be traced."""
    around = [each for each in _around(pool, model) if each in opaque]
    if not around:
        return "its forward calls it nowhere"
    return f"torch.fx cannot trace {type(around[-1]).__name__}: {opaque[around[-1]]}"


def _around(module: nn.Module, model: nn.Module) -> Iterator[nn.Module]:
    """The modules that hold a module, from the outermost on."""
    for each in model.modules():
        if each is not module and any(part is module for part in each.modules()):
            yield each
