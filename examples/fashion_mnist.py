"""Fashion-MNIST from Debian's package dataset-fashion-mnist, and a small MobileNetV2 for its 28 x 28 images."""

import gzip
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

FOLDER = Path("/usr/share/datasets/fashion-mnist")
BATCH = 125  # divides both parts
MEAN, DEVIATION = 0.2860, 0.3530  # of the training images, in units of the largest pixel
# (expansion, channels, repeats, stride) of each stage.
STAGES = [(1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 2, 1), (4, 64, 2, 2), (4, 96, 1, 1)]

Images: TypeAlias = torch.Tensor  # [count, 1, 28, 28], uint8
Labels: TypeAlias = torch.Tensor  # [count], int64


def _read(name: str, header: int) -> torch.Tensor:
    path = FOLDER / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; install it: apt-get install dataset-fashion-mnist")
    return torch.frombuffer(bytearray(gzip.decompress(path.read_bytes())[header:]), dtype=torch.uint8)


def load(part: str) -> tuple[Images, Labels]:
    """The images and labels of "train" (60,000) or "t10k" (10,000)."""
    images = _read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return images, _read(f"{part}-labels-idx1-ubyte.gz", 8).long()


def normalize(images: Images) -> torch.Tensor:
    """Pixels as the model takes them: zero mean, unit variance over the training set."""
    return (images.float() / 255 - MEAN) / DEVIATION


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image mirrored or not, and the batch moved by up to two pixels."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    down, right = (int(offset) for offset in torch.randint(-2, 3, (2,), generator=generator))
    return images.roll((down, right), (2, 3))


def batches(
    data: tuple[Images, Labels], size: int = BATCH, generator: torch.Generator | None = None
) -> Iterator[tuple[torch.Tensor, Labels]]:
    """Whole batches of `size`; with a generator shuffled and augmented."""
    images, labels = data
    order = torch.arange(len(images)) if generator is None else torch.randperm(len(images), generator=generator)
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        batch = normalize(images[chosen])
        yield (batch if generator is None else augment(batch, generator)), labels[chosen]


def top1(function: Callable[[torch.Tensor], torch.Tensor], data: Iterable[tuple[torch.Tensor, Labels]]) -> float:
    """The share of images, in per cent, whose largest logit is that of the label."""
    right, count = 0, 0
    with torch.no_grad():
        for images, labels in data:
            right += int((function(images).argmax(1) == labels).sum())
            count += len(labels)
    return 100 * right / count


def _convolution(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]


class _Block(nn.Module):
    """Expand, filter by channel, project; with a skip where the shapes agree."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        expand = [*_convolution(channels, inner, 1), nn.ReLU6()] if expansion > 1 else []
        depthwise = [*_convolution(inner, inner, 3, stride, groups=inner), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *depthwise, *_convolution(inner, out, 1))
        self.skip = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.skip else self.layers(x)


class SmallMobileNetV2(nn.Module):
    """28 x 28 images, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_convolution(1, 16, 3, stride=2), nn.ReLU6()]
        channels = 16
        for expansion, out, repeats, stride in STAGES:
            for i in range(repeats):
                layers.append(_Block(channels, out, stride if i == 0 else 1, expansion))
                channels = out
        self.features = nn.Sequential(*layers, *_convolution(channels, 320, 1), nn.ReLU6())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(320, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.dropout(self.pool(self.features(x)).flatten(1)))


def train(model: nn.Module, data: tuple[Images, Labels], epochs: int, rate: float, seed: int = 0) -> Iterator[float]:
    """Trains `model` with stochastic gradient descent; gives the loss of each step.

    The rate rises over the first tenth of the steps to `rate` and falls to 0 along a cosine.
    """
    generator = torch.Generator().manual_seed(seed)
    total = epochs * (len(data[0]) // BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * total), 0.5 * (1 + math.cos(math.pi * step / total)))
    )
    loss_of = nn.CrossEntropyLoss()
    for _ in range(epochs):
        for images, labels in batches(data, generator=generator):
            optimizer.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            yield float(loss.detach())
