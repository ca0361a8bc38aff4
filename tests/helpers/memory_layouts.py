"""Tensors of every memory layout."""

import torch
import torch.nn.functional as F

LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "reversed": lambda x: x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    "sliced": lambda x: torch.cat([x, x], 3)[..., ::2],
    "cropped": lambda x: F.pad(x, (1, 2, 3, 4))[:, :, 3:-4, 1:-2],
    "expanded": lambda x: x[:, :1].expand(-1, x.size(1), -1, -1),
    "expanded_batch": lambda x: x[:1].expand(x.size(0), -1, -1, -1),
}
