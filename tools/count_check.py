"""Whether an installed relustat counts, against NumPy; run where the checkout is not imported."""

import numpy as np
import torch

import relustat


def main() -> None:
    x = torch.randn(64, 1000)
    relu = relustat.CountingReLU()
    if not torch.equal(relu(x), torch.relu(x)):
        raise SystemExit("count-check: outputs must be PyTorch's, got others")
    counts, edges = relu.stats.histogram.to_numpy()
    got = [relu.stats.zeros, *counts.tolist()]
    values = x.numpy()
    expected = [int((values <= 0).sum()), *np.histogram(values, bins=edges)[0].tolist()]
    if got != expected:
        raise SystemExit(f"count-check: counts must be NumPy's {expected}, got {got}")
    print(f"relustat {relustat.__version__}: {got[0]} zeros and a histogram, equal to NumPy's")


if __name__ == "__main__":
    main()
