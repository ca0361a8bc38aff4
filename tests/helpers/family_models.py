"""Small networks of a dozen families, with the idioms of each."""

import torch
import torch.nn.functional as F
from map_networks import Discriminator, PlainConvUNet, monai_unet
from mobile_networks import EfficientNet, MobileNetV2, MobileNetV3
from torch import nn
from transformer_networks import ConvNeXt, CountingPrimer, Llama, Primer, VisionTransformer


class Policy(nn.Module):
    """An actor and a critic for PPO, as CleanRL writes them."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(
            *(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
        )
        self.actor_mean = nn.Sequential(
            *(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))
        )
        self.actor_logstd = nn.Parameter(torch.zeros(1, 3))

    def forward(self, x):
        action_mean = torch.tanh(self.actor_mean(x))
        return action_mean, self.actor_logstd.expand_as(action_mean).exp(), self.critic(x)


class BinaryNet(nn.Module):
    """Its values are cut off, as those of a net with weights of one bit."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.htanh1, self.htanh2 = nn.Hardtanh(inplace=True), nn.Hardtanh(0, 0.5)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.htanh1(self.bn1(F.max_pool2d(self.conv1(x), 2)))
        x = self.htanh2(self.bn2(self.conv2(x)))
        return F.hardtanh(self.fc(x.amax((2, 3))), -0.25, 0.25)


def rest():
    """What the other networks do not have."""
    activations = [
        *(nn.Threshold(0.1, -0.5), nn.Threshold(0.1, 0.0, inplace=True), nn.RReLU(inplace=True)),
        *(nn.Mish(inplace=True), nn.ELU(), nn.ELU(0.5, inplace=True), nn.CELU(0.7), nn.SELU()),
        *(nn.SELU(inplace=True), nn.Softplus(beta=2), nn.Hardsigmoid(), nn.Hardswish()),
        *(nn.ReLU6(), nn.LeakyReLU(0.3), nn.SiLU(), nn.ReLU(inplace=True), nn.PReLU(8)),
    ]
    return nn.Sequential(*(each for act in activations for each in (nn.Linear(8, 8), act)))


def images():
    return torch.randn(2, 3, 16, 16)


def rows():
    return torch.randn(16, 8)


# The model, its input, and the dimension of its units.
MODELS = {
    "MobileNetV2": (MobileNetV2, images, 1),
    "MobileNetV3": (MobileNetV3, images, 1),
    "EfficientNet": (EfficientNet, images, 1),
    "ConvNeXt": (ConvNeXt, images, -1),
    "ViT": (VisionTransformer, images, -1),
    "DCGAN": (Discriminator, images, 1),
    "Llama": (Llama, lambda: torch.randint(20, (2, 7)), -1),
    "nnU-Net": (PlainConvUNet, images, 1),
    "MONAI, one slope": (lambda: monai_unet(lambda _: 1), images, 1),
    "MONAI, slopes of channels": (lambda: monai_unet(lambda channels: channels), images, 1),
    "Primer": (Primer, lambda: torch.randn(2, 7, 8), -1),
    "CountingPrimer": (CountingPrimer, lambda: torch.randn(2, 7, 8), -1),
    "policy": (Policy, lambda: torch.randn(16, 6), -1),
    "binary": (BinaryNet, images, 1),
    "rest": (rest, rows, -1),
}


def make(name):
    """A model whose norms have statistics and whose weights are large, its input, its unit dim.

    With the usual weights few values would reach an upper knee, or be near 0.
    """
    torch.manual_seed(1)
    build, data, unit_dim = MODELS[name]
    model, x = build(), data()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.01, 0.5)
            elif isinstance(module, nn.Linear):
                module.weight.mul_(3)
    return model, x, unit_dim
