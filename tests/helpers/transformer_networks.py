"""Small transformers, and networks that took their idioms: ConvNeXt, ViT, Llama, Primer."""

import functools

import torch
import torch.nn.functional as F
from torch import nn

import relustat


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
