"""Small U-Nets and a discriminator, as their authors write them."""

import torch
from torch import nn


class Discriminator(nn.Module):
    """DCGAN in PyTorch's examples."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 6, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(6, 10, 4, 2, 1, bias=False),
            nn.BatchNorm2d(10),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(10, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


class ConvDropoutNormReLU(nn.Module):
    """nnU-Net's: each of its layers has two names."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm = nn.InstanceNorm2d(outputs, eps=1e-5, affine=True)
        self.nonlin = nn.LeakyReLU(inplace=True)
        self.all_modules = nn.Sequential(self.conv, self.norm, self.nonlin)

    def forward(self, x):
        return self.all_modules(x)


class StackedConvBlocks(nn.Module):
    def __init__(self, count, inputs, outputs, stride):
        super().__init__()
        first = ConvDropoutNormReLU(inputs, outputs, stride)
        others = (ConvDropoutNormReLU(outputs, outputs, 1) for _ in range(count - 1))
        self.convs = nn.Sequential(first, *others)

    def forward(self, x):
        return self.convs(x)


class PlainConvUNet(nn.Module):
    """nnU-Net, with deep supervision: a list of outputs."""

    def __init__(self):
        super().__init__()
        widths = [4, 6, 8]
        self.stages = nn.ModuleList(
            StackedConvBlocks(2, inputs, outputs, stride)
            for inputs, outputs, stride in zip([3, *widths], widths, [1, 2, 2], strict=False)
        )
        pairs = [(8, 6), (6, 4)]
        self.transpconvs = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.decoder = nn.ModuleList(StackedConvBlocks(1, 2 * b, b, 1) for _, b in pairs)
        self.seg_layers = nn.ModuleList(nn.Conv2d(b, 2, 1) for _, b in pairs)

    def forward(self, x):
        skips = []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        lres_input, seg_outputs = skips[-1], []
        for s in range(len(self.decoder)):
            x = self.transpconvs[s](lres_input)
            x = torch.cat((x, skips[-(s + 2)]), 1)
            x = self.decoder[s](x)
            seg_outputs.append(self.seg_layers[s](x))
            lres_input = x
        return tuple(seg_outputs[::-1])


class ADN(nn.Sequential):
    """MONAI's activation, dropout and norm."""

    def __init__(self, channels, slopes):
        super().__init__()
        self.add_module("N", nn.InstanceNorm2d(channels))
        self.add_module("D", nn.Dropout(0.1))
        self.add_module("A", nn.PReLU(slopes, init=0.2))


class Convolution(nn.Sequential):
    def __init__(self, inputs, outputs, stride, slopes, is_transposed=False):
        super().__init__()
        if is_transposed:
            conv = nn.ConvTranspose2d(inputs, outputs, 3, stride, 1, stride - 1)
        else:
            conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.add_module("conv", conv)
        self.add_module("adn", ADN(outputs, slopes(outputs)))


class SkipConnection(nn.Module):
    def __init__(self, submodule):
        super().__init__()
        self.submodule = submodule

    def forward(self, x):
        return torch.cat([x, self.submodule(x)], dim=1)


def monai_unet(slopes):
    """A U-Net whose layers lie in one another; ``slopes`` gives those of a number of channels."""
    bottom = nn.Sequential(
        Convolution(4, 6, 2, slopes),
        SkipConnection(Convolution(6, 8, 1, slopes)),
        Convolution(14, 4, 2, slopes, is_transposed=True),
    )
    return nn.Sequential(
        Convolution(3, 4, 2, slopes),
        SkipConnection(bottom),
        nn.Sequential(
            Convolution(8, 3, 2, slopes, is_transposed=True), Convolution(3, 2, 1, slopes)
        ),
    )
