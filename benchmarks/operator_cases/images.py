"""Pooling, resampling and shuffling of images."""

import torch
from torch import nn
from torch.nn import functional

from operator_cases.case import IMAGE, Call, Case


def resampled(**options: object) -> Case:
    return Case(("resample",), lambda: Call(lambda x: functional.interpolate(x, **options)), ((8, 16, 64, 64),))


def sampled(**options: object) -> Case:
    def inputs() -> tuple[torch.Tensor, ...]:
        return torch.randn(4, 16, 160, 160), torch.randn(4, 160, 160, 2) * 0.7

    call = Call(lambda x, grid: functional.grid_sample(x, grid, **options))
    return Case(("grid_sample",), lambda: call, make_inputs=inputs)


CASES: dict[str, Case] = {
    "max_pool2d": Case(("max_pool2d",), lambda: nn.MaxPool2d(3, 1, 1), (IMAGE,)),
    "max_pool1d": Case(("max_pool2d",), lambda: nn.MaxPool1d(3, 1, 1), ((4, 64, 4096),)),
    "avg_pool2d": Case(("avg_pool2d",), lambda: nn.AvgPool2d(3, 1, 1), (IMAGE,)),
    "avg_pool1d": Case(("avg_pool2d",), lambda: nn.AvgPool1d(3, 1, 1), ((4, 64, 4096),)),
    "adaptive_avg_pool2d": Case(("avg_pool2d",), lambda: nn.AdaptiveAvgPool2d(1), ((512, 2048, 4, 4),)),
    "adaptive_avg_pool2d 7 of 10": Case(("avg_pool2d",), lambda: nn.AdaptiveAvgPool2d(7), ((16, 1280, 10, 10),)),
    "upsample nearest": resampled(scale_factor=2),
    "upsample nearest_exact": resampled(size=(100, 90), mode="nearest-exact"),
    "upsample bilinear": resampled(scale_factor=2, mode="bilinear"),
    "upsample bilinear aligned": resampled(size=(129, 100), mode="bilinear", align_corners=True),
    "upsample bicubic": resampled(scale_factor=2, mode="bicubic"),
    "grid_sample bilinear": sampled(align_corners=False),
    "grid_sample nearest": sampled(mode="nearest", padding_mode="border", align_corners=True),
    "grid_sample bicubic": sampled(mode="bicubic", padding_mode="reflection", align_corners=False),
    "pixel_shuffle": Case(("shuffle",), lambda: nn.PixelShuffle(4), (IMAGE,)),
    "pixel_unshuffle": Case(("shuffle",), lambda: nn.PixelUnshuffle(4), (IMAGE,)),
    "channel_shuffle": Case(("shuffle",), lambda: Call(lambda x: torch.channel_shuffle(x, 4)), (IMAGE,)),
    "conv_transpose2d": Case(
        ("convolution", "shuffle"), lambda: nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), ((2, 32, 128, 128),)
    ),
    "conv_transpose2d grouped": Case(
        ("convolution", "shuffle"),
        lambda: nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1, groups=4),
        ((2, 32, 128, 128),),
    ),
    "conv_transpose1d": Case(
        ("convolution", "shuffle"), lambda: nn.ConvTranspose1d(32, 16, 8, stride=4, padding=2), ((4, 32, 8192),)
    ),
}
