"""The autograd graph between a layer's output and the model's input."""

from __future__ import annotations

from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge


class PathToInput:
    """The nodes through which ``output`` depends on ``x``.

    Attributes:
        nodes: from that of the output to that of ``x``, each before the nodes that it leads to.

    Raises:
        ValueError: if ``output`` does not depend on ``x``; ``op`` and ``layer`` are for messages.
    """

    def __init__(self, op: str, layer: str, output: Tensor, x: Tensor) -> None:
        self._end = get_gradient_edge(x).node
        self._on_it: set[Node] = set()
        self.nodes: list[Node] = []
        if output.grad_fn is not None:
            self._find_from(output.grad_fn)
        if not self.nodes:
            raise ValueError(
                f"{op}: layer must depend on the input in a way that has a gradient, got {layer!r}"
            )
        self.nodes.reverse()

    def inputs_on_it(self, node: Node) -> list[int]:
        """The inputs of a node that depend on ``x``, as indices of ``node.next_functions``."""
        befores = [before for before, _ in node.next_functions]
        return [index for index, before in enumerate(befores) if before in self._on_it]

    def _find_from(self, start: Node) -> None:
        met: set[Node] = set()
        waiting = [(start, False)]
        while waiting:
            node, is_left = waiting.pop()
            if is_left:
                if node is self._end or self.inputs_on_it(node):
                    self._on_it.add(node)
                    self.nodes.append(node)
            elif node not in met:
                met.add(node)
                waiting.append((node, True))
                if node is not self._end:
                    waiting += [(before, False) for before, _ in node.next_functions if before]
