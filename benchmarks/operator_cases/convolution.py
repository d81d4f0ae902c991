"""Convolutions and linear layers."""

from torch import nn

from operator_cases.case import IMAGE, Case

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
    "linear": Case(("linear",), lambda: nn.Linear(256, 1000), ((1024, 256),)),
}
