"""Convolutions and linear layers, and what is fused with them."""

import torch
from torch import nn

from operator_cases.case import IMAGE, Case


class Joined(nn.Module):
    """The batch norm of a dense block: of channels that were joined, here in two ranges."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2 * channels)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(torch.cat([x, torch.tanh(y)], 1)))


class Residual(nn.Module):
    """A block of a network with residuals."""

    def __init__(self, *layers: nn.Module, behind: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.behind = behind or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.behind(x + self.layers(x))


class Affine(nn.Module):
    """A scale and a shift for each channel."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(shape))
        self.shift = nn.Parameter(torch.randn(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.shift


CASES: dict[str, Case] = {
    "conv 3x3": Case(("convolution",), lambda: nn.Conv2d(64, 64, 3, padding=1), (IMAGE,)),
    "conv 1x1": Case(("convolution",), lambda: nn.Conv2d(64, 96, 1), (IMAGE,)),
    "conv 5x5 stride 2 dilated": Case(
        ("convolution",), lambda: nn.Conv2d(16, 64, 5, stride=2, padding=4, dilation=2), ((4, 16, 128, 128),)
    ),
    "conv depthwise 3x3": Case(("convolution",), lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64), (IMAGE,)),
    "conv grouped": Case(("convolution",), lambda: nn.Conv2d(64, 64, 3, padding=1, groups=4), (IMAGE,)),
    "conv + relu": Case(
        ("convolution", "relu"), lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()), (IMAGE,)
    ),
    "conv + batch norm + relu6": Case(
        ("convolution", "batch_norm", "clamp"),
        lambda: nn.Sequential(nn.Conv2d(64, 64, 1), nn.BatchNorm2d(64), nn.ReLU6()),
        (IMAGE,),
    ),
    "conv + batch norm + residual + relu": Case(
        ("convolution", "batch_norm", "add", "relu"),
        lambda: Residual(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), behind=nn.ReLU()),
        (IMAGE,),
    ),
    "concat + batch norm + relu": Case(("concat", "batch_norm", "tanh", "relu"), lambda: Joined(64), (IMAGE, IMAGE)),
    "conv depthwise + residual": Case(
        ("convolution", "add"), lambda: Residual(nn.Conv2d(64, 64, 3, padding=1, groups=64)), (IMAGE,)
    ),
    "conv + batch norm + silu": Case(
        ("convolution", "batch_norm", "silu"),
        lambda: nn.Sequential(nn.Conv2d(64, 64, 1), nn.BatchNorm2d(64), nn.SiLU()),
        (IMAGE,),
    ),
    "conv depthwise + hardswish": Case(
        ("convolution", "hardswish"),
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Hardswish()),
        (IMAGE,),
    ),
    "conv + leaky_relu": Case(
        ("convolution", "leaky_relu"),
        lambda: nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.LeakyReLU(0.1)),
        (IMAGE,),
    ),
    "conv + sigmoid": Case(
        ("convolution", "sigmoid"), lambda: nn.Sequential(nn.Conv2d(64, 64, 1), nn.Sigmoid()), (IMAGE,)
    ),
    "conv + hardsigmoid": Case(
        ("convolution", "hardsigmoid"), lambda: nn.Sequential(nn.Conv2d(64, 64, 1), nn.Hardsigmoid()), (IMAGE,)
    ),
    "linear + gelu": Case(("linear", "gelu"), lambda: nn.Sequential(nn.Linear(256, 256), nn.GELU()), ((4, 1024, 256),)),
    "linear + gelu (tanh)": Case(
        ("linear", "gelu_tanh"),
        lambda: nn.Sequential(nn.Linear(256, 256), nn.GELU(approximate="tanh")),
        ((4, 1024, 256),),
    ),
    "linear + residual": Case(("linear", "add"), lambda: Residual(nn.Linear(256, 256)), ((4, 1024, 256),)),
    "mul + add per channel": Case(("mul", "add"), lambda: Affine(256), ((4, 1024, 256),)),
    "mul + add per channel of images": Case(("mul", "add"), lambda: Affine(64, 1, 1), (IMAGE,)),
    "linear": Case(("linear",), lambda: nn.Linear(256, 1000), ((1024, 256),)),
}
