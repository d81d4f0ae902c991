"""Networks that no installed package builds, written from their papers: convolutions only."""

import itertools

import torch
from torch import nn
from torch.nn import functional

from networks.network import Network, image


def _conv(inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding=0, groups: int = 1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _side(kernel: int, vertical: bool) -> dict:
    return {
        "kernel": (kernel, 1) if vertical else (1, kernel),
        "padding": (kernel // 2, 0) if vertical else (0, kernel // 2),
    }


class Branches(nn.Module):
    """Several paths over one operand, joined along the channels."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([path(x) for path in self.paths], 1)


def _pooled(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), _conv(inputs, outputs, 1))


def _inception_a() -> nn.Module:
    return Branches(
        _conv(384, 96, 1),
        nn.Sequential(_conv(384, 64, 1), _conv(64, 96, 3, padding=1)),
        nn.Sequential(_conv(384, 64, 1), _conv(64, 96, 3, padding=1), _conv(96, 96, 3, padding=1)),
        _pooled(384, 96),
    )


def _inception_b() -> nn.Module:
    return Branches(
        _conv(1024, 384, 1),
        nn.Sequential(_conv(1024, 192, 1), _conv(192, 224, **_side(7, False)), _conv(224, 256, **_side(7, True))),
        nn.Sequential(
            _conv(1024, 192, 1),
            _conv(192, 192, **_side(7, True)),
            _conv(192, 224, **_side(7, False)),
            _conv(224, 224, **_side(7, True)),
            _conv(224, 256, **_side(7, False)),
        ),
        _pooled(1024, 128),
    )


def _inception_c() -> nn.Module:
    return Branches(
        _conv(1536, 256, 1),
        nn.Sequential(
            _conv(1536, 384, 1), Branches(_conv(384, 256, **_side(3, False)), _conv(384, 256, **_side(3, True)))
        ),
        nn.Sequential(
            _conv(1536, 384, 1),
            _conv(384, 448, **_side(3, True)),
            _conv(448, 512, **_side(3, False)),
            Branches(_conv(512, 256, **_side(3, False)), _conv(512, 256, **_side(3, True))),
        ),
        _pooled(1536, 256),
    )


def inception_v4(_size: int) -> nn.Module:
    """Szegedy et al. 2016, figure 9."""
    return nn.Sequential(
        _conv(3, 32, 3, 2),
        _conv(32, 32, 3),
        _conv(32, 64, 3, padding=1),
        Branches(nn.MaxPool2d(3, 2), _conv(64, 96, 3, 2)),
        Branches(
            nn.Sequential(_conv(160, 64, 1), _conv(64, 96, 3)),
            nn.Sequential(
                _conv(160, 64, 1), _conv(64, 64, **_side(7, False)), _conv(64, 64, **_side(7, True)), _conv(64, 96, 3)
            ),
        ),
        Branches(_conv(192, 192, 3, 2), nn.MaxPool2d(3, 2)),
        *(_inception_a() for _ in range(4)),
        Branches(
            _conv(384, 384, 3, 2),
            nn.Sequential(_conv(384, 192, 1), _conv(192, 224, 3, padding=1), _conv(224, 256, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        *(_inception_b() for _ in range(7)),
        Branches(
            nn.Sequential(_conv(1024, 192, 1), _conv(192, 192, 3, 2)),
            nn.Sequential(
                _conv(1024, 256, 1),
                _conv(256, 256, **_side(7, False)),
                _conv(256, 320, **_side(7, True)),
                _conv(320, 320, 3, 2),
            ),
            nn.MaxPool2d(3, 2),
        ),
        *(_inception_c() for _ in range(3)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(1536, 1000),
    )


class Edsr(nn.Module):
    """Lim et al. 2017: 16 residual blocks of 64 channels, twice the size."""

    def __init__(self, blocks: int = 16, channels: int = 64) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
            )
            for _ in range(blocks)
        )
        self.body = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = nn.Sequential(
            nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(channels, 3, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        head = self.head(x)
        y = head
        for block in self.blocks:
            y = y + block(y)
        return self.tail(head + self.body(y))


def wav2letter(_size: int) -> nn.Module:
    """Collobert et al. 2016, on the samples of a waveform: characters per frame."""

    def layer(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Module:
        return nn.Sequential(nn.Conv1d(inputs, outputs, kernel, stride, padding), nn.ReLU())

    return nn.Sequential(
        layer(1, 250, 250, 160, 45),
        layer(250, 250, 48, 2, 23),
        *(layer(250, 250, 7, 1, 3) for _ in range(7)),
        layer(250, 2000, 32, 1, 16),
        layer(2000, 2000, 1),
        layer(2000, 40, 1),
        nn.LogSoftmax(1),
    )


def ds_cnn(_size: int) -> nn.Module:
    """MLPerf Tiny's keyword spotting: 12 words from 49 frames of 10 coefficients."""

    def block() -> nn.Module:
        return nn.Sequential(_conv(64, 64, 3, padding=1, groups=64), _conv(64, 64, 1))

    return nn.Sequential(
        _conv(1, 64, (10, 4), 2, (5, 1)),
        nn.Dropout(0.2),
        *(block() for _ in range(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 12),
    )


class UNet(nn.Module):
    """Ronneberger et al. 2015, padded, with transposed convolutions; 2 classes."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()

        def double(inputs: int, outputs: int) -> nn.Module:
            return nn.Sequential(_conv(inputs, outputs, 3, padding=1), _conv(outputs, outputs, 3, padding=1))

        self.down = nn.ModuleList(double(a, b) for a, b in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in itertools.pairwise(widths))
        self.merge = nn.ModuleList(double(2 * a, a) for a in widths[:-1])
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for i, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if i else x)
            kept.append(x)
        for i in reversed(range(len(self.up))):
            x = self.merge[i](torch.cat([kept[i], self.up[i](x)], 1))
        return self.head(x)


class Detector(nn.Module):
    """A small one-stage detector: SiLU backbone, features at three scales, decoupled heads, decoded boxes."""

    def __init__(self, classes: int = 20) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
            )

        widths = (32, 64, 128)
        self.stem = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2))
        self.stages = nn.ModuleList(conv(a, b, 3, 2) for a, b in zip((32, *widths), widths, strict=False))
        self.lateral = nn.ModuleList(conv(b + a, a, 1) for a, b in itertools.pairwise(widths))
        self.boxes = nn.ModuleList(nn.Sequential(conv(w, 32), nn.Conv2d(32, 4, 1)) for w in widths)
        self.scores = nn.ModuleList(nn.Sequential(conv(w, 32), nn.Conv2d(32, classes, 1)) for w in widths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        for i in reversed(range(len(self.lateral))):
            above = functional.interpolate(features[i + 1], scale_factor=2.0, mode="nearest")
            features[i] = self.lateral[i](torch.cat([above, features[i]], 1))
        found = []
        for feature, box, score in zip(features, self.boxes, self.scores, strict=True):
            height, width = feature.shape[-2:]
            offsets = box(feature).flatten(2)
            columns = torch.arange(width).repeat(height).float()
            rows = torch.arange(height).repeat_interleave(width).float()
            center = (offsets[:, :2].sigmoid() * 2 - 0.5 + torch.stack([columns, rows])) / width
            size = (offsets[:, 2:].sigmoid() * 2) ** 2 / width
            found.append(torch.cat([center, size, score(feature).flatten(2).sigmoid()], 1))
        return torch.cat(found, 2)


def _wave(size: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return (torch.randn(1, 1, size, generator=generator),)


def _keyword(size: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return (torch.randn(1, 1, size, 10, generator=generator),)


NETWORKS: dict[str, Network] = {
    "inception_v4": Network(inception_v4, image, size=299, small=192),
    "edsr": Network(lambda _: Edsr(), image, size=224, small=32, classes=None),
    "wav2letter": Network(wav2letter, _wave, size=16000, small=8000, statistics=8000),
    "ds_cnn": Network(ds_cnn, _keyword, size=49, small=49),
    "unet": Network(lambda _: UNet(), image),
    "detector": Network(lambda _: Detector(), image, classes=None),
}
