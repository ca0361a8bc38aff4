"""Counts every ReLU of a ResNet that trains on several processes, with one exact report.

The folder holds images in one subfolder for each class, as ImageNet's train/ does:

    torchrun --nproc-per-node=4 examples/distributed_imagenet.py path/to/images --output stats.npz

Three lines are relustat's: the watch, its all_reduce, and the report. Each process counts for
itself, without communication. The counts are added up once, at the end. The sampler repeats some
images, so that all processes have the same number; these images are counted, too.

Without torchrun it runs in one process. With GPUs, each process takes one.
"""

import argparse
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

import relustat

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


class ImageFolder(Dataset):
    """Images scaled to ``size``, half of them mirrored: float32 [3, size, size], -1 to 1."""

    def __init__(self, folder, size):
        self.size = size
        self.classes = sorted(child.name for child in folder.glob("*") if child.is_dir())
        self.files = [
            (file, label)
            for label, name in enumerate(self.classes)
            for file in sorted((folder / name).rglob("*"))
            if file.suffix.lower() in SUFFIXES
        ]
        if not self.files:
            raise SystemExit(f"{folder} must hold subfolders of images, got none")

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        file, label = self.files[index]
        with Image.open(file) as image:
            pixels = np.array(image.convert("RGB").resize((self.size, self.size)))
        x = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
        return (x.flip(2) if torch.rand(()) < 0.5 else x), label


class Block(nn.Module):
    """The block of ResNet-18. Its ReLU module is called twice, so it has two call sites."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet(classes):
    parts = {
        "conv": nn.Conv2d(3, 32, 7, 2, 3),
        "relu": nn.ReLU(inplace=True),
        "pool": nn.MaxPool2d(3, 2, 1),
        "block1": Block(32, 32, 1),
        "block2": Block(32, 64, 2),
        "block3": Block(64, 128, 2),
        "block4": Block(128, 256, 2),
        "mean": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classify": nn.Linear(256, classes),
    }
    return nn.Sequential(OrderedDict(parts))


def start():
    """Joins the other processes, if there are any; returns the device to work on."""
    by_itself = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    how = {} if "RANK" in os.environ else by_itself
    if not torch.cuda.is_available():
        dist.init_process_group("gloo", **how)
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", **how)
    return device


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="a folder with one subfolder for each class")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64, help="batch size of each process")
    parser.add_argument("--size", type=int, default=224, help="size of images, in pixels")
    parser.add_argument(
        "--workers", type=int, default=2, help="number of workers of each process that load images"
    )
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--output", type=Path, default=Path("stats.npz"))
    options = parser.parse_args()

    data = ImageFolder(options.images, options.size)
    device = start()
    torch.manual_seed(dist.get_rank())  # weights are rank 0's; mirroring differs
    sampler = DistributedSampler(data)
    loader = DataLoader(data, options.batch_size, sampler=sampler, num_workers=options.workers)
    model = resnet(len(data.classes)).to(device)
    watch = relustat.watch(model)
    trained = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(trained.parameters(), options.learning_rate, momentum=0.9)

    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        total = torch.zeros((), device=device)
        for x, label in loader:
            loss = F.cross_entropy(trained(x.to(device)), label.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        dist.all_reduce(total)
        if dist.get_rank() == 0:
            loss = total.item() / len(loader) / dist.get_world_size()
            print(f"epoch {epoch + 1}: loss {loss:.3f}", flush=True)

    watch.all_reduce()
    if dist.get_rank() == 0:
        print(watch.report())
        watch.report().save(options.output)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
