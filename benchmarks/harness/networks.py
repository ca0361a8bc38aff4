"""The networks that are measured whole, and what they are shown."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

# Channels of each convolution, a pool after each group.
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# What the original weights of VGG-16 were trained to expect: blue, green, red, less their means.
MEANS = (103.939, 116.779, 123.68)
PHOTOGRAPHS = (
    "astronaut",
    "chelsea",
    "coffee",
    "rocket",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
)


def vgg16(weights=None):
    """VGG-16's convolutional trunk (Simonyan and Zisserman, 2014)."""
    layers, channels = [], 3
    for group in VGG16:
        for outputs in group:
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU()]
            channels = outputs
        layers.append(nn.MaxPool2d(2, 2))
    model = nn.Sequential(*layers)
    if weights is not None:
        model.load_state_dict(torch.load(weights, weights_only=True))
        return model
    return with_random_weights(model)


class BasicBlock(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


def resnet18():
    """ResNet-18 (He et al., 2015); its ReLUs work in place."""
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    for inputs, channels, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [BasicBlock(inputs, channels, stride), BasicBlock(channels, channels, 1)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return with_random_weights(nn.Sequential(*layers))


def lenet():
    """LeNet-5 (LeCun et al., 1998) as tutorials write it today: ReLUs and max-pools."""
    return with_random_weights(
        nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        )
    )


def with_random_weights(model):
    """He's, which keep the spread of activations from layer to layer."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def noise(batch):
    torch.manual_seed(0)
    return torch.randn(batch, 3, 224, 224)


def digits(batch):
    torch.manual_seed(0)
    return torch.randn(batch, 1, 28, 28)


def photographs(batch):
    """The middle of photographs that scikit-image ships, as VGG-16's weights expect them."""
    data = pytest.importorskip(
        "skimage.data", reason="scikit-image is not installed: make bench does that"
    )
    images = [getattr(data, name)() for name in PHOTOGRAPHS]
    images.append(data.stereo_motorcycle()[0])
    return torch.cat([_prepared(torch.from_numpy(image)) for image in images[:batch]])


def _prepared(image):
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square = image[top : top + side, left : left + side].permute(2, 0, 1).float()[None]
    resized = F.interpolate(square, (224, 224), mode="bilinear", antialias=True)
    return resized.flip(1) - torch.tensor(MEANS).view(3, 1, 1)
