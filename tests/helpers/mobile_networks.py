"""Small MobileNets and an EfficientNet, as their authors write them."""

import functools

import torch
import torch.nn.functional as F
from torch import nn


class ConvNormActivation(nn.Sequential):
    """torchvision's."""

    def __init__(self, inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU6):
        layers = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """MobileNetV2 in torchvision."""

    def __init__(self, inputs, outputs, stride, expand_ratio):
        super().__init__()
        hidden = inputs * expand_ratio
        self.use_res_connect = stride == 1 and inputs == outputs
        layers = [ConvNormActivation(inputs, hidden, 1)] if expand_ratio != 1 else []
        layers += [
            ConvNormActivation(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            ConvNormActivation(3, 8, stride=2),
            InvertedResidual(8, 4, 1, 1),
            InvertedResidual(4, 6, 2, 3),
            InvertedResidual(6, 6, 1, 3),
            ConvNormActivation(6, 16, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 5))

    def forward(self, x):
        x = self.features(x)
        x = F.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


class SqueezeExcitation(nn.Module):
    """torchvision's, of MobileNetV3 and EfficientNet."""

    def __init__(self, channels, squeezed, activation, scale_activation):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, x):
        scale = self.activation(self.fc1(self.avgpool(x)))
        return self.scale_activation(self.fc2(scale)) * x


class MBConv(nn.Module):
    """The block of both: expanded, depthwise, squeezed, projected."""

    def __init__(self, inputs, expanded, outputs, stride, activation, squeeze):
        super().__init__()
        self.use_res_connect = stride == 1 and inputs == outputs
        layers = [
            ConvNormActivation(inputs, expanded, 1, activation=activation),
            ConvNormActivation(expanded, expanded, 3, stride, expanded, activation),
        ]
        if squeeze is not None:
            layers.append(squeeze(expanded, 4))
        layers.append(ConvNormActivation(expanded, outputs, 1, activation=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        result = self.block(x)
        if self.use_res_connect:
            result += x
        return result


class MobileNetV3(nn.Module):
    def __init__(self):
        super().__init__()
        gate = functools.partial(nn.Hardsigmoid, inplace=True)
        squeeze = functools.partial(SqueezeExcitation, activation=nn.ReLU, scale_activation=gate)
        self.features = nn.Sequential(
            ConvNormActivation(3, 8, stride=2, activation=nn.Hardswish),
            MBConv(8, 12, 8, 1, nn.ReLU, squeeze),
            MBConv(8, 16, 10, 2, nn.Hardswish, squeeze),
            MBConv(10, 16, 10, 1, nn.Hardswish, None),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(10, 12), nn.Hardswish(inplace=True), nn.Dropout(0.2, True), nn.Linear(12, 5)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class TimmSqueezeExcite(nn.Module):
    """timm's, whose gate is a function."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.act1 = nn.SiLU(inplace=True)
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        x_se = x.mean((2, 3), keepdim=True)
        x_se = self.conv_expand(self.act1(self.conv_reduce(x_se)))
        return x * x_se.sigmoid()


class EfficientNet(nn.Module):
    def __init__(self):
        super().__init__()
        silu = functools.partial(nn.SiLU, inplace=True)
        squeeze = functools.partial(SqueezeExcitation, activation=silu, scale_activation=nn.Sigmoid)
        self.features = nn.Sequential(
            ConvNormActivation(3, 8, stride=2, activation=nn.SiLU),
            MBConv(8, 12, 8, 1, nn.SiLU, squeeze),
            MBConv(8, 12, 6, 2, nn.SiLU, TimmSqueezeExcite),
            ConvNormActivation(6, 14, 1, activation=nn.SiLU),
        )
        self.classifier = nn.Linear(14, 5)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))
