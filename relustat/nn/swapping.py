"""Makes a model's ReLUs count and its pools save switches, for good; and the way back.

A swapped module stays of its class: tools look modules up by their exact class or its name, and
take an unknown one for linear, in silence. So only its ``forward`` is another one.
"""

from __future__ import annotations

import warnings
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn

from relustat.ops.counters import Counters, UnitDim
from relustat.ops.counting_relu import counting_relu
from relustat.ops.inputs import describe, is_countable
from relustat.ops.pool_geometry import per_axis
from relustat.stats.bins import Bins, LogBins

from ._torchscript import not_scriptable
from .counting_relu import CountingReLU, described
from .max_pool import has_kernel, pooled
from .module_paths import check_is_module

Model = TypeVar("Model", bound=nn.Module)

MARK = "_relustat_swapped"
POOL_AXES: dict[type[nn.Module], int] = {nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3}


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
    """An ``nn.ReLU`` that counts."""

    def __init__(self, module: Any, counters: Counters) -> None:
        super().__init__(module)
        self.counters = counters

    def attributes(self) -> dict[str, Any]:
        return {**super().attributes(), "counters": self.counters}

    def forward(self, input: Tensor) -> Tensor:
        if not is_countable(input):
            warnings.warn(
                f"swap: a swapped ReLU does not count {describe(input)}; it computes what the "
                "plain one does",
                stacklevel=2,
            )
            plain: Tensor = type(self.module).forward(self.module, input)
            return plain
        return counting_relu(input, self.counters, inplace=self.module.inplace)

    def extra_repr(self) -> str:
        plain: str = type(self.module).extra_repr(self.module)
        if torch.compiler.is_dynamo_compiling():
            # vmap asks for it in a trace, in case it has to raise an error.
            return plain
        return ", ".join(filter(None, (plain, "counting", described(self.counters))))


class SwappedPool(Swapped):
    """An ``nn.MaxPool*d`` that saves switches instead of indices."""

    def __init__(self, module: Any, axes: int) -> None:
        super().__init__(module)
        self.axes = axes

    def forward(self, input: Tensor) -> Any:
        if has_kernel(self.module, self.axes, input):
            return pooled(self.module, self.axes, input)
        return type(self.module).forward(self.module, input)

    def extra_repr(self) -> str:
        return f"{type(self.module).extra_repr(self.module)}, by switches"


class SwappedUnpool(Swapped):
    """An ``nn.MaxUnpool2d`` whose result is the same in each run.

    If windows overlap, several values may have one index. On the CPU PyTorch's last one wins, but
    in channels_last its threads race. (In 1-D and 3-D it unpools contiguous tensors only.)
    """

    def forward(  # type: ignore[override]
        self, input: Tensor, indices: Tensor, output_size: list[int] | None = None
    ) -> Any:
        plain = type(self.module).forward
        if input.is_cpu and self._overlaps() and _has_channels_last(input):
            x: Tensor = plain(self.module, input.contiguous(), indices.contiguous(), output_size)
            return x.contiguous(memory_format=torch.channels_last)
        return plain(self.module, input, indices, output_size)

    def _overlaps(self) -> bool:
        kernel = per_axis("swap", "kernel_size", self.module.kernel_size, 2)
        stride = per_axis("swap", "stride", self.module.stride, 2)
        return any(k > s for k, s in zip(kernel, stride, strict=True))

    def extra_repr(self) -> str:
        return f"{type(self.module).extra_repr(self.module)}, in order"


def _has_channels_last(x: Tensor) -> bool:
    """Whether PyTorch's output would be in channels_last, as of slices, too."""
    if x.dim() != 4 or x.is_contiguous():
        return False
    dense = torch.empty_like(x, device="meta")
    return not dense.is_contiguous() and dense.is_contiguous(memory_format=torch.channels_last)


def swap(
    model: Model,
    *,
    pools: bool = True,
    bins: Bins | None = LogBins(),
    unit_dim: UnitDim = "auto",
    unit_histograms: bool = False,
    every: int = 1,
    zero_blocks: int | None = None,
) -> Model:
    """Makes every ``nn.ReLU`` of a model count, in place.

    A swapped module does what a :class:`CountingReLU` does, and ``module.counters.stats`` are its
    counts. It stays the same object of the same class. So names, hooks, training mode,
    ``state_dict``, references, and tools that look for ``nn.ReLU`` stay as they are. Subclasses of
    ``nn.ReLU`` and modules that are swapped already do not change; :func:`swapped` lists all. To
    count for a while, use :func:`relustat.watch`: it also finds functional ReLUs.

    Args:
        model: changed in place; may itself be a ReLU.
        pools: also have ``nn.MaxPool*d`` pool as :class:`relustat.MaxPool2d` does, and
            ``nn.MaxUnpool2d`` give the same values in each run (PyTorch's threads race where
            windows overlap in channels_last on the CPU).
        bins, unit_dim, unit_histograms, every, zero_blocks: see :class:`relustat.Counters`.

    Returns:
        The model.

    Raises:
        TypeError, ValueError: if an argument is wrong. Then the model is as it was.

    Warns:
        UserWarning: if nothing of the model is swapped.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU())
        >>> relustat.swap(model)
        Sequential(
          (0): Conv2d(3, 3, kernel_size=(1, 1), stride=(1, 1))
          (1): ReLU(counting, bins=LogBins(per_octave=8, min_exponent=-14, max_exponent=16))
        )
        >>> y = model(torch.randn(2, 3, 4, 4))
        >>> model[1].counters.stats.elements
        96
        >>> relustat.unswap(model)[1]
        ReLU()
    """
    check_is_module("swap", model)
    # All is made before the first module is changed: an error leaves the model as it was.
    made: list[Swapped] = []
    for module in model.modules():
        if is_swapped(module) or "forward" in module.__dict__:
            continue
        if type(module) is nn.ReLU:
            counters = Counters(
                bins,
                unit_dim=unit_dim,
                unit_histograms=unit_histograms,
                every=every,
                zero_blocks=zero_blocks,
            )
            made.append(SwappedReLU(module, counters))
        elif pools and type(module) in POOL_AXES:
            made.append(SwappedPool(module, POOL_AXES[type(module)]))
        elif pools and type(module) is nn.MaxUnpool2d:
            made.append(SwappedUnpool(module))
    for each in made:
        each.put_on()
    if not made and not any(map(is_swapped, model.modules())):
        what = "nn.ReLU or pool" if pools else "nn.ReLU"
        warnings.warn(
            f"swap: the {type(model).__name__} has no {what} to swap; relustat.swapped(model) says "
            "why, and relustat.watch(model) also counts functional ReLUs",
            stacklevel=2,
        )
    return model


def unswap(model: Model) -> Model:
    """Undoes :func:`swap`. The counts are lost, and the model is as it was.

    Raises:
        TypeError: if ``model`` is not an ``nn.Module``.
        ValueError: if the ``forward`` of a swapped module has been replaced since.

    Example:
        >>> import torch, relustat
        >>> relustat.unswap(relustat.swap(torch.nn.ReLU(inplace=True)))
        ReLU(inplace=True)
    """
    check_is_module("unswap", model)
    found = {name: module for name, module in model.named_modules() if is_swapped(module)}
    for name, module in found.items():
        if "forward" in module.__dict__ and not replacement(module).is_on():
            raise ValueError(
                f"unswap: a swapped module must have the forward that swap() gave it, got another "
                f"one at {name!r}; undo first what came after swap()"
            )
    for module in found.values():
        replacement(module).take_off()
    return model


def is_swapped(module: nn.Module) -> bool:
    return isinstance(module.__dict__.get(MARK), Swapped)


def replacement(module: nn.Module) -> Swapped:
    """What a swapped module does."""
    swapped: Swapped = module.__dict__[MARK]
    return swapped


def counters_of(module: nn.Module) -> Counters | None:
    """The counters of a :class:`CountingReLU`, or of a swapped ReLU."""
    is_own = isinstance(module, CountingReLU) or isinstance(module.__dict__.get(MARK), SwappedReLU)
    counters: Counters | None = module.counters if is_own else None  # type: ignore[assignment]
    return counters
