"""What activation_patterns refuses, and says."""

import pytest
import torch
from torch import nn

from relustat.analysis.patterns import activation_patterns


class OnOddDays(nn.Module):
    def forward(self, x):
        return x.relu().relu() if x[0, 0] > 0 else x.relu()


@pytest.mark.parametrize(
    ("model", "batches", "error", "message"),
    [
        (3, [], TypeError, "model must be an nn.Module, got int"),
        (nn.ReLU(), [torch.ones(2, 3)], ValueError, "must be in evaluation mode, got the ReLU"),
        (nn.ReLU().eval(), [], ValueError, "loader must give samples, got none"),
        (nn.ReLU().eval(), [torch.ones(0, 3)], ValueError, "loader must give samples, got none"),
        (nn.ReLU().eval(), [{"x": 1}], TypeError, r"give tensors \[samples, ...\], .* got dict"),
        (nn.ReLU().eval(), [()], TypeError, r"give tensors \[samples, ...\], .* got tuple"),
        (nn.ReLU().eval(), [torch.ones([])], TypeError, "got a 0-D tensor as batch 0"),
        (nn.Tanh().eval(), [torch.ones(2, 3)], ValueError, "must compute a ReLU of .*, got none$"),
        (
            nn.Sequential(nn.ReLU()).eval(),
            [torch.ones(2, 3, dtype=torch.int32)],
            ValueError,
            "must compute a ReLU of its batch, got none; 0: its input is torch.int32",
        ),
        (
            nn.Sequential(nn.ReLU()).eval(),
            [torch.ones(2, 3), torch.ones(2, 4)],
            ValueError,
            "as many units in every batch, got 3 and 4 at '0'",
        ),
        (
            OnOddDays().eval(),
            [torch.ones(2, 3), -torch.ones(2, 3)],
            ValueError,
            "every batch must meet the same ReLUs, got 'relu' in some of them only",
        ),
        (
            OnOddDays().eval(),
            [-torch.ones(2, 3), torch.ones(2, 3)],
            ValueError,
            "every batch must meet the same ReLUs, got 'relu' in some of them only",
        ),
    ],
)
def test_bad_input(model, batches, error, message):
    with pytest.raises(error, match=f"activation_patterns: .*{message}"):
        activation_patterns(model, batches)


def test_patterns_of_other_layers_do_not_add():
    model = nn.Sequential(nn.ReLU()).eval()
    narrow, wide = (activation_patterns(model, [torch.ones(2, units)]) for units in (3, 4))
    message = r"only patterns of the same layers add, got \{'0': 3\} and \{'0': 4\}"
    with pytest.raises(ValueError, match=f"ActivationPatterns: {message}"):
        narrow + wide
