"""Statistics of the switches of a pooling."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from relustat.ops.switches import Switches


@dataclasses.dataclass(frozen=True)
class SwitchInspection:
    """The result of :func:`inspect_switches`.

    Attributes:
        windows: number of windows.
        winners: number of maxima at each position of a window, int64 of the kernel's size.
        sharing: number of windows whose maximum is in the same cell as that of another window.
    """

    windows: int
    winners: Tensor
    sharing: int

    @property
    def sharing_fraction(self) -> float:
        """Sharing / windows."""
        return self.sharing / self.windows if self.windows else 0.0

    def __str__(self) -> str:
        rows = self.winners.flatten(0, -2) if self.winners.ndim > 1 else self.winners[None]
        width = len(f"{int(self.winners.max()):,}") if self.winners.numel() else 1
        table = "\n".join("  ".join(f"{n:{width},}" for n in row) for row in rows.tolist())
        return (
            f"{self.windows:,} windows; the maximum's position in the window:\n{table}\n"
            f"{self.sharing:,} windows ({self.sharing_fraction:.1%}) share it with another"
        )


def inspect_switches(switches: Switches) -> SwitchInspection:
    """Counts the positions of maxima in their windows, and the windows that share a cell.

    ``overlap="last"`` and ``"sum"`` differ at shared cells.

    Args:
        switches: of a pooling, with ``return_switches=True``.

    Returns:
        Exact counts. ``print`` it.

    Raises:
        TypeError: if ``switches`` are not :class:`relustat.Switches`.

    Example:
        >>> import torch, relustat
        >>> x = torch.tensor([[[0.0, 3.0, 1.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]])
        >>> _, switches = relustat.MaxPool2d(2, 1, return_switches=True)(x)
        >>> print(relustat.analysis.inspect_switches(switches))
        4 windows; the maximum's position in the window:
        2  1
        1  0
        2 windows (50.0%) share it with another
    """
    if not isinstance(switches, Switches):
        raise TypeError(
            "inspect_switches: switches must be relustat.Switches, got "
            f"{type(switches).__name__} (Switches.from_indices makes them of indices)"
        )
    pooling = switches.pooling
    winners = torch.bincount(switches.offsets.flatten().long(), minlength=pooling.taps)
    # The same index in another plane is another cell.
    planes = switches.indices().flatten(0, -1 - pooling.axes).flatten(1)
    cells = torch.tensor(switches.input_size).prod().item()
    positions = planes + cells * torch.arange(len(planes), device=planes.device)[:, None]
    _, counts = positions.unique(return_counts=True)
    return SwitchInspection(
        windows=switches.offsets.numel(),
        winners=winners.view(pooling.kernel_size),
        sharing=int(counts[counts > 1].sum()),
    )
