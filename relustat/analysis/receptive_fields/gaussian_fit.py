"""The Gaussian that fits a distribution over pixels."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianFit:
    """A Gaussian over pixels.

    Attributes:
        center: the mean, in pixels along each axis. Integers are the centres of pixels.
        covariance: float64 [axes, axes], in pixels squared.
    """

    center: tuple[float, ...]
    covariance: Tensor

    @classmethod
    def to(cls, shares: Tensor) -> GaussianFit:
        """The Gaussian of maximum likelihood: it has the mean and covariance of the shares.

        Args:
            shares: of each pixel, float64 [H, W] or with other axes; their sum is 1.

        Example:
            >>> import torch
            >>> from relustat.analysis.receptive_fields.gaussian_fit import GaussianFit
            >>> fit = GaussianFit.to(torch.tensor([0.25, 0.0, 0.5, 0.0, 0.25]).double())
            >>> fit.center, fit.covariance.item()
            ((2.0,), 2.0)
        """
        lengths = [torch.arange(length, dtype=torch.float64) for length in shares.shape]
        positions = torch.stack(torch.meshgrid(*lengths, indexing="ij"), -1).flatten(0, -2)
        share = shares.flatten()
        center = share @ positions
        offsets = positions - center
        return cls(tuple(center.tolist()), (offsets * share[:, None]).mT @ offsets)

    @property
    def sigma(self) -> tuple[float, ...]:
        """The standard deviation along each axis, in pixels."""
        return tuple(self.covariance.diagonal().sqrt().tolist())

    def density(self, positions: Tensor) -> Tensor:
        """The Gaussian's density at each position.

        Args:
            positions: [..., axes], in pixels.

        Returns:
            float64 [...].

        Raises:
            ValueError: if the Gaussian has no width along a direction.
        """
        mean = torch.tensor(self.center, dtype=torch.float64)
        normal = torch.distributions.MultivariateNormal(mean, self.covariance)
        log_density: Tensor = normal.log_prob(positions.double())
        return log_density.exp()
