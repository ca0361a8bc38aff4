"""Small networks with the activations of today's architectures, written as their authors write."""

import functools

import torch
import torch.nn.functional as F
from torch import nn

import relustat


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


class ConvNeXtBlock(nn.Module):
    """As the paper's authors write it."""

    def __init__(self, dim):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(0.5 * torch.ones(dim))

    def forward(self, x):
        shortcut = x
        x = self.dwconv(x)
        x = x.permute(0, 2, 3, 1)
        x = self.norm(x)
        x = self.pwconv1(x)
        x = self.act(x)
        x = self.pwconv2(x)
        x = self.gamma * x
        x = x.permute(0, 3, 1, 2)
        return shortcut + x


class ConvNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.downsample_layers = nn.ModuleList([nn.Conv2d(3, 6, 4, 4), nn.Conv2d(6, 8, 2, 2)])
        self.stages = nn.ModuleList(
            [nn.Sequential(ConvNeXtBlock(6), ConvNeXtBlock(6)), nn.Sequential(ConvNeXtBlock(8))]
        )
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x):
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        return self.head(self.norm(x.mean([-2, -1])))


class Attention(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class Mlp(nn.Module):
    """timm's."""

    def __init__(self, dim, hidden, act_layer):
        super().__init__()
        self.fc1, self.act, self.drop = nn.Linear(dim, hidden), act_layer(), nn.Dropout(0.1)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(self.drop(self.act(self.fc1(x))))


class Block(nn.Module):
    def __init__(self, dim, act_layer):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim), Attention(dim, 2)
        self.norm2, self.mlp = nn.LayerNorm(dim), Mlp(dim, 4 * dim, act_layer)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        tanh = functools.partial(nn.GELU, approximate="tanh")
        self.blocks = nn.Sequential(Block(8, nn.GELU), Block(8, tanh))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        return self.head(self.blocks(x)[:, 0])


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


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class FeedForward(nn.Module):
    """Llama's."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class LlamaMLP(nn.Module):
    """The same in transformers."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_embeddings = nn.Embedding(20, 8)
        self.layers = nn.ModuleList(
            [FeedForward(8, 12), FeedForward(8, 12), FeedForward(8, 16), LlamaMLP(8, 12)]
        )
        self.norms = nn.ModuleList(RMSNorm(8) for _ in self.layers)
        self.output = nn.Linear(8, 20, bias=False)

    def forward(self, tokens):
        h = self.tok_embeddings(tokens)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = h + layer(norm(h))
        return self.output(h)


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


class ReLUSquared(nn.Module):
    def forward(self, x):
        return F.relu(x) ** 2


class PrimerFeedForward(nn.Module):
    """Its activation is a function, or a module."""

    def __init__(self, dim, hidden, act=None):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.act = act

    def forward(self, x):
        x = self.fc1(x)
        x = F.relu(x) ** 2 if self.act is None else self.act(x)
        return self.fc2(x)


class Primer(nn.Module):
    def __init__(self):
        super().__init__()
        acts = [None, ReLUSquared(), None]
        self.layers = nn.ModuleList(PrimerFeedForward(8, 12, act) for act in acts)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(self.norm(x))
        return self.norm(x).relu().square()


class CountingPrimer(nn.Module):
    """With this package's module."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            PrimerFeedForward(8, 12, relustat.CountingSquaredReLU()),
            PrimerFeedForward(8, 10, relustat.CountingSquaredReLU(inplace=True)),
        )

    def forward(self, x):
        return self.layers(x)


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
