"""Dead units are drawn again during training."""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from relustat._checks import is_integer
from relustat.watching.handle import Watch

from .dead_units import check_model
from .operation import Operation
from .processes import group_of
from .reinitialise import reinitialise_dead


class ReviveDead:
    """Calls :func:`reinitialise_dead` once in a number of training steps.

    With a ``DistributedDataParallel`` the counts of all processes are asked, so all must take the
    same steps.

    Args:
        model: the model that is trained, compiled and distributed or not.
        watch: its watch.
        optimizer: the optimiser.
        every: the number of steps from one operation to the next.
        calls: a unit is dead if it gave only zeros in the last ``calls`` calls.

    Attributes:
        steps: the number of steps so far.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if ``every`` or ``calls`` is not an integer of at least 1.

    Example:
        >>> import torch, relustat
        >>> from relustat.surgery import ReviveDead
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)
        ... )
        >>> optimizer = torch.optim.AdamW(model.parameters())
        >>> with relustat.watch(model) as watch:
        ...     revive = ReviveDead(model, watch, optimizer, every=10, calls=10)
        ...     for _ in range(20):
        ...         optimizer.zero_grad()
        ...         model(torch.randn(8, 2)).square().mean().backward()
        ...         optimizer.step()
        ...         if done := revive.step():
        ...             print(done)
    """

    def __init__(
        self, model: nn.Module, watch: Watch, optimizer: Optimizer, *, every: int, calls: int
    ) -> None:
        for name, number in (("every", every), ("calls", calls)):
            if not is_integer(number) or number < 1:
                raise ValueError(
                    f"ReviveDead: {name} must be an integer of at least 1, got {number!r}"
                )
        if not isinstance(watch, Watch):
            raise TypeError(f"ReviveDead: watch must be a Watch, got {type(watch).__name__}")
        check_model("ReviveDead", model, watch)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"ReviveDead: optimizer must be an Optimizer, got {type(optimizer).__name__}"
            )
        self._model, self._watch, self._optimizer = model, watch, optimizer
        self._every, self._calls = every, calls
        self.steps, self._counted = 0, 0

    def step(self) -> Operation | None:
        """To be called after ``optimizer.step()``; what was done, or None between operations.

        Nothing is done if no call was counted since the last operation.

        Raises:
            ValueError: if the watch is closed.
        """
        if not self._watch.is_open:
            raise ValueError("ReviveDead: the watch must be open, got a closed one")
        self.steps += 1
        if self.steps % self._every:
            return None
        group = group_of(self._model)
        if group is not None:
            self._watch.all_reduce(group)
        counted = sum(stats.calls for stats in self._watch.stats.values())
        before, self._counted = self._counted, counted
        if counted == before:
            return Operation("reinitialised", [], [])
        return reinitialise_dead(self._model, self._watch, self._optimizer, calls=self._calls)
