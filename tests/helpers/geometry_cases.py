"""Networks whose geometry is known or can be found out."""

import torch
import torch.nn.functional as F
from torch import nn

from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.receptive_fields.input_boxes import GeometryCalls


class Function(nn.Module):
    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.modules_used = nn.ModuleList(modules)

    def forward(self, x):
        return self.function(x, *self.modules_used)


def conv(inputs, outputs, *arguments, axes=2, **options):
    return [nn.Conv1d, nn.Conv2d, nn.Conv3d][axes - 1](inputs, outputs, *arguments, **options)


def residual(x, main, beside):
    return F.relu(main(x) + beside(x))


def prepared(layers):
    model = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.5, 1)
    return model


def traced(model, x):
    x = x.clone().requires_grad_()
    output = GeometryCalls("test", model, [str(len(model) - 1)]).run(x)[str(len(model) - 1)]
    return PathToInput("test", "", output, x), output
