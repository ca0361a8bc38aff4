"""VGG-16 and ResNet-18 under torchvision's names, without torchvision.

Modules and tensors have torchvision's names, so its weight files load:
``vgg16-397923af.pth`` and ``resnet18-f37072fd.pth``. VGG-16 also takes the convolutions alone,
with the original Caffe weights under the keys ``0.weight``, ``0.bias``, ``2.weight``, ...

    network = vgg16("vgg16-397923af.pth")
    scores = network.model(network.prepare(rgb))        # rgb: [N, 3, 224, 224], 0 to 1

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014.
He et al., Deep Residual Learning for Image Recognition, 2015.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import textwrap

import torch
from torch import Tensor, nn

# Channels of each convolution; a pool follows each group.
_GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def _vgg16_relus() -> dict[str, str]:
    names, index = {}, 1
    for group, channels in enumerate(_GROUPS, 1):
        for number in range(1, len(channels) + 1):
            names[f"conv{group}_{number}"] = f"features.{index}"
            index += 2
        index += 1  # the pool
    return names


# Call sites of the ReLUs after the 13 convolutions: "conv1_1": "features.1" and so on.
VGG16_RELUS = _vgg16_relus()


@dataclasses.dataclass(frozen=True)
class Preparation:
    """From RGB in 0 to 1, float32 [..., 3, H, W], to what a network was trained on, and back.

    Attributes:
        mean: of red, green and blue.
        std: of red, green and blue.
        bgr: whether the network takes blue first.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False

    def __call__(self, rgb: Tensor) -> Tensor:
        x = (rgb - self._column(self.mean)) / self._column(self.std)
        return x.flip(-3) if self.bgr else x

    def undo(self, x: Tensor) -> Tensor:
        """The RGB of a prepared image: ``undo(prepare(rgb))`` is ``rgb`` but for rounding."""
        rgb = x.flip(-3) if self.bgr else x
        return rgb * self._column(self.std) + self._column(self.mean)

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number that a prepared image can hold."""
        ends = self(torch.tensor([0.0, 1.0]).expand(3, 1, 2))
        return ends.min().item(), ends.max().item()

    @staticmethod
    def _column(values: tuple[float, float, float]) -> Tensor:
        return torch.tensor(values)[:, None, None]


TORCHVISION = Preparation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# 0 to 255, blue first, less the mean colour.
CAFFE = Preparation((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, bgr=True)


@dataclasses.dataclass(frozen=True)
class Network:
    """A model in inference mode, and the preparation of its inputs.

    Attributes:
        model: from prepared images to class scores, [N, 1000]; a trunk to features, [N, 512, h, w].
        prepare: from RGB in 0 to 1 to the model's input.
        classifies: whether the model gives class scores.
        origin: the file of the weights, or a description of random weights.
    """

    model: nn.Module
    prepare: Preparation
    classifies: bool
    origin: str


class VGG16(nn.Module):
    def __init__(self, classifies: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for group in _GROUPS:
            for outputs in group:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.classifies = classifies
        if not classifies:
            return
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 1000),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(self.avgpool(x).flatten(1)) if self.classifies else x


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut; one ReLU module, called twice."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def vgg16(weights: str | os.PathLike[str] | None = None) -> Network:
    """VGG-16, with random weights or those of a file.

    Args:
        weights: a state dict of torchvision's ``vgg16`` or, in the original Caffe weights, of its
            ``features``: then the model has no classifier. Names of modules are the same for both.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such a state dict.
    """
    if weights is None:
        return Network(_with_random_weights(VGG16()), TORCHVISION, True, _RANDOM)
    expected = "a state dict of VGG-16 or of its features"
    state = _read(weights, expected)
    classifies = "0.weight" not in state
    model = VGG16(classifies)
    _load(model if classifies else model.features, state, weights, expected)
    prepare = TORCHVISION if classifies else CAFFE
    return Network(model.eval(), prepare, classifies, os.path.basename(weights))


def resnet18(weights: str | os.PathLike[str] | None = None) -> Network:
    """ResNet-18, with random weights or those of a file.

    Args:
        weights: a state dict of torchvision's ``resnet18``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such a state dict.
    """
    model = ResNet18()
    if weights is None:
        return Network(_with_random_weights(model), TORCHVISION, True, _RANDOM)
    expected = "a state dict of ResNet-18"
    _load(model, _read(weights, expected), weights, expected)
    return Network(model.eval(), TORCHVISION, True, os.path.basename(weights))


_SEED = 0
_RANDOM = f"random weights (He's initialisation, seed {_SEED})"


def _with_random_weights(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(_SEED)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model.eval()


def _read(path: str | os.PathLike[str], expected: str) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise _wrong(expected, path, "no file of tensors alone") from error
    if not isinstance(state, dict):
        raise _wrong(expected, path, f"a {type(state).__name__}")
    return state


def _load(
    module: nn.Module, state: dict[str, Tensor], path: str | os.PathLike[str], expected: str
) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise _wrong(expected, path, textwrap.shorten(str(error), 200)) from error


def _wrong(expected: str, path: str | os.PathLike[str], found: str) -> ValueError:
    return ValueError(f"weights must be {expected}, got {os.fspath(path)}: {found}")
