"""What swapped modules do instead of their classes.

A swapped module stays of its class: tools look modules up by their exact class or its name, and
take an unknown one for linear, in silence. So only its ``forward`` is another one.
"""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from relustat._hooks import has_hooks
from relustat.ops.counters import Counters
from relustat.ops.counting_relu import counting_relu
from relustat.ops.inputs import describe, is_called_directly, is_countable
from relustat.ops.pool_geometry import per_axis
from relustat.ops.relu_max_pool import relu_max_pool

from ._torchscript import not_scriptable
from .calling_line import calling_frame, local_of, site_of
from .counted_module import described
from .fusable_pairs import WRITES_OVER, is_fresh
from .max_pool import has_kernel, numbers_of, pooled, returned
from .pending_relu import PendingReLU, ReLU
from .source_calls import HandOver, Site, follow
from .unpooling_in_order import keep_last

MARK = "_relustat_swapped"


class Swapped:
    """What a swapped module does instead of its class. It is copied and pickled with the module.

    Attributes of the module are its methods, bound to it: the compiler knows these, and equal
    models share graphs.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def put_on(self) -> None:
        """Gives the module these attributes, in one step: after an interrupt, each module works."""
        own = self.module.__dict__
        # A watched module has an answer to scripting already.
        own.update({name: each for name, each in self.attributes().items() if name not in own})

    def take_off(self) -> None:
        """Takes these attributes from the module, the mark last."""
        own = self.module.__dict__
        for name, each in reversed(self.attributes().items()):
            if name in own and own[name] == each:
                del own[name]

    def is_on(self) -> bool:
        """Whether the module's ``forward`` is still this one."""
        return getattr(self.module.__dict__.get("forward"), "__self__", None) is self

    def attributes(self) -> dict[str, Any]:
        """The attributes that a module has as long as it is swapped."""
        return {
            MARK: self,
            "forward": self.forward,
            "extra_repr": self.extra_repr,
            "__prepare_scriptable__": self.script,
        }

    def forward(self, input: Tensor) -> Any:
        raise NotImplementedError

    def extra_repr(self) -> str:
        raise NotImplementedError

    def script(self) -> NoReturn:
        raise not_scriptable(self.module)


class SwappedReLU(Swapped):
    """An ``nn.ReLU`` that counts, or leaves it to the pool behind it.

    Attributes:
        hand_overs: of the lines that give its output to a pool, and to nothing else.
    """

    hand_overs: dict[Site, HandOver] = {}

    def __init__(self, module: Any, counters: Counters) -> None:
        super().__init__(module)
        self.counters = counters

    def attributes(self) -> dict[str, Any]:
        return {**super().attributes(), "counters": self.counters}

    def forward(self, input: Tensor) -> Tensor:
        if self.hand_overs and is_called_directly(input):
            frame = calling_frame()
            hand_over = self.hand_overs.get(site_of(frame))
            if hand_over is not None:
                owner = local_of(frame, hand_over.owner)
                if not self.why_two_passes(owner, hand_over):
                    return PendingReLU.of(input, self)
        return self.count_and_rectify(input)

    def why_two_passes(self, owner: object, hand_over: HandOver) -> str:
        """What keeps a call from being one pass with its pool; empty if nothing does."""
        relu, pool = follow(owner, hand_over.giver), follow(owner, hand_over.receiver)
        if relu is not self.module or pool is None:
            return "another module is called there now"
        return why_two_passes(follow(owner, hand_over.producer or ()), relu, pool)

    def rectify(self, input: Tensor) -> Tensor:
        """What the plain module gives."""
        plain: Tensor = type(self.module).forward(self.module, input)
        return plain

    def count_and_rectify(self, input: Tensor) -> Tensor:
        if not is_countable(input):
            warnings.warn(
                f"swap: a swapped ReLU does not count {describe(input)}; it computes what the "
                "plain one does",
                stacklevel=2,
            )
            return self.rectify(input)
        return counting_relu(input, self.counters, inplace=self.module.inplace)

    def extra_repr(self) -> str:
        plain: str = type(self.module).extra_repr(self.module)
        if torch.compiler.is_dynamo_compiling():
            # vmap asks for it in a trace, in case it has to raise an error.
            return plain
        return ", ".join(filter(None, (plain, "counting", described(self.counters))))


class SwappedPool(Swapped):
    """An ``nn.MaxPool*d`` that saves switches instead of indices.

    Attributes:
        two_passes_where: why swap(fuse=True) has left a call to two passes; empty if it has not, or
            was not asked to.
    """

    two_passes_where = ""

    def __init__(self, module: Any, axes: int) -> None:
        super().__init__(module)
        self.axes = axes

    def forward(self, input: Tensor) -> Any:
        if type(input) is PendingReLU:
            return self.pool_pending(input)
        if has_kernel(self.module, self.axes, input):
            return pooled(self.module, self.axes, input)
        return type(self.module).forward(self.module, input)

    def pool_pending(self, pending: PendingReLU) -> Any:
        """Rectifies, counts and pools in one pass, unless something else has read the ReLU."""
        x = pending.take_input(lambda x: has_kernel(self.module, self.axes, x))
        if x is None:
            return self.forward(pending.rectified())
        return self.rectify_and_pool(x, pending.left_relu)

    def rectify_and_pool(self, x: Tensor, relu: ReLU) -> Any:
        """The pool of a ReLU, which is counted, in one pass."""
        try:
            results = relu_max_pool(self.axes, x, relu.counters, numbers_of(self.module))
        except (TypeError, ValueError, IndexError):
            # Nothing is counted then. The first of the two modules may well serve the input.
            return self.forward(relu.count_and_rectify(x))
        return returned(self.module, *results)

    def extra_repr(self) -> str:
        return f"{type(self.module).extra_repr(self.module)}, by switches"


class SwappedSequential(Swapped):
    """An ``nn.Sequential`` that runs a ReLU and the pool behind it in one pass."""

    def attributes(self) -> dict[str, Any]:
        return {MARK: self, "forward": self.forward}

    def forward(self, input: Any) -> Any:
        x = input
        modules = list(self.module)
        at = 0
        while at < len(modules):
            pool = None
            if is_called_directly(x) and not self.why_two_passes(modules, at):
                pool = replacement(modules[at + 1])
            if isinstance(pool, SwappedPool) and has_kernel(pool.module, pool.axes, x):
                x = pool.rectify_and_pool(x, replacement(modules[at]))  # type: ignore[arg-type]
                at += 2
            else:
                x = modules[at](x)
                at += 1
        return x

    def why_two_passes(self, modules: list[nn.Module], at: int) -> str:
        """What keeps a module and the next one from being one pass; empty if nothing does."""
        if at + 1 == len(modules) or not is_active(modules[at], SwappedReLU):
            return "it is no ReLU, or the last module"
        return why_two_passes(modules[at - 1] if at > 0 else None, modules[at], modules[at + 1])


class SwappedUnpool(Swapped):
    """An ``nn.MaxUnpool*d`` whose result is the same in each run.

    If windows overlap, several values may have one index. The last one wins, as it does in PyTorch
    with one thread; with several, it is chance.
    """

    def __init__(self, module: nn.Module, axes: int) -> None:
        super().__init__(module)
        self.axes = axes

    def forward(  # type: ignore[override]
        self, input: Tensor, indices: Tensor, output_size: list[int] | None = None
    ) -> Any:
        restored: Tensor = type(self.module).forward(self.module, input, indices, output_size)
        if input.is_cpu and self._overlaps():
            keep_last(restored, input, indices, self.axes)
        return restored

    def _overlaps(self) -> bool:
        kernel = per_axis("swap", "kernel_size", self.module.kernel_size, self.axes)
        stride = per_axis("swap", "stride", self.module.stride, self.axes)
        return any(k > s for k, s in zip(kernel, stride, strict=True))

    def extra_repr(self) -> str:
        return f"{type(self.module).extra_repr(self.module)}, in order"


def is_swapped(module: nn.Module) -> bool:
    return isinstance(module.__dict__.get(MARK), Swapped)


def replacement(module: nn.Module) -> Swapped:
    """What a swapped module does."""
    swapped: Swapped = module.__dict__[MARK]
    return swapped


def is_active(module: object, kind: type[Swapped] = Swapped) -> bool:
    """Whether a module is swapped for this, and still does it."""
    swapped = module.__dict__.get(MARK) if isinstance(module, nn.Module) else None
    return isinstance(swapped, kind) and swapped.is_on()


def why_two_passes(producer: nn.Module | None, relu: nn.Module, pool: nn.Module) -> str:
    """What keeps a swapped ReLU and the pool behind it from being one pass; empty if nothing does.

    Args:
        producer: the module whose output the ReLU gets, if nothing else has that.
        relu: it is swapped.
        pool: the next module.
    """
    if not is_active(pool, SwappedPool):
        return "the pool is not swapped"
    between = [relu, pool]
    if relu.inplace:
        if producer is None or not is_fresh(producer):
            return WRITES_OVER
        between.append(producer)
    return "a hook sees what is between them" if has_hooks(*between) else ""
