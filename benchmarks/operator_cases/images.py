"""Pooling and resampling of images."""

from torch import nn

from operator_cases.case import IMAGE, Case

CASES: dict[str, Case] = {
    "max_pool2d": Case(("max_pool2d",), lambda: nn.MaxPool2d(3, 1, 1), (IMAGE,)),
    "avg_pool2d": Case(("avg_pool2d",), lambda: nn.AvgPool2d(3, 1, 1), (IMAGE,)),
    "adaptive_avg_pool2d": Case(("avg_pool2d",), lambda: nn.AdaptiveAvgPool2d(1), ((512, 2048, 4, 4),)),
}
