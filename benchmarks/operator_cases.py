"""One small module per operator of the engine, with inputs of about 10^6 elements of its result."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


@dataclass
class Case:
    """`operators`: what ops.def calls those that the module shows."""

    operators: tuple[str, ...]
    module: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    positive: bool = False  # the operator is defined for positive numbers

    def inputs(self) -> tuple[torch.Tensor, ...]:
        tensors = tuple(torch.randn(shape) * 2 for shape in self.shapes)
        return tuple(tensor.abs() + 0.05 for tensor in tensors) if self.positive else tensors


IMAGE = (4, 64, 64, 64)


def _unary(operator: str, function: Callable, positive: bool = False) -> Case:
    return Case((operator,), lambda: Call(function), (IMAGE,), positive)


def _binary(operator: str, function: Callable) -> Case:
    return Case((operator,), lambda: Call(function), (IMAGE, IMAGE))


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
    "add": _binary("add", torch.add),
    "sub": _binary("sub", torch.sub),
    "mul": _binary("mul", torch.mul),
    "relu": _unary("relu", functional.relu),
    "relu6": _unary("clamp", functional.relu6),
    "sigmoid": _unary("sigmoid", torch.sigmoid),
    "tanh": _unary("tanh", torch.tanh),
    "hardswish": _unary("hardswish", functional.hardswish),
    "hardsigmoid": _unary("hardsigmoid", functional.hardsigmoid),
    "leaky_relu": _unary("leaky_relu", lambda x: functional.leaky_relu(x, 0.1)),
    "elu": _unary("elu", functional.elu),
    "gelu": _unary("gelu", functional.gelu),
    "gelu tanh": _unary("gelu_tanh", lambda x: functional.gelu(x, approximate="tanh")),
    "silu": _unary("silu", functional.silu),
    "mish": _unary("mish", functional.mish),
    "softplus": _unary("softplus", functional.softplus),
    "abs": _unary("abs", torch.abs),
    "neg": _unary("neg", torch.neg),
    "ceil": _unary("ceil", torch.ceil),
    "floor": _unary("floor", torch.floor),
    "sqrt": _unary("sqrt", torch.sqrt, positive=True),
    "rsqrt": _unary("rsqrt", torch.rsqrt, positive=True),
    "exp": _unary("exp", torch.exp),
    "log": _unary("log", torch.log, positive=True),
    "sin": _unary("sin", torch.sin),
    "cos": _unary("cos", torch.cos),
    "pow": _unary("pow_scalar", lambda x: torch.pow(x, 2.0)),
    "max_pool2d": Case(("max_pool2d",), lambda: nn.MaxPool2d(3, 1, 1), (IMAGE,)),
    "avg_pool2d": Case(("avg_pool2d",), lambda: nn.AvgPool2d(3, 1, 1), (IMAGE,)),
    "adaptive_avg_pool2d": Case(("avg_pool2d",), lambda: nn.AdaptiveAvgPool2d(1), ((512, 2048, 4, 4),)),
    "mean": Case(("mean",), lambda: Call(lambda x: x.mean((2, 3))), ((512, 2048, 4, 4),)),
    "flatten": Case(("reshape",), lambda: nn.Flatten(), (IMAGE,)),
    "permute": Case(("permute",), lambda: Call(lambda x: x.permute(0, 2, 3, 1)), (IMAGE,)),
    "cat": Case(("concat",), lambda: Call(lambda x, y: torch.cat([x, y], 1)), (IMAGE, IMAGE)),
    "dropout": Case(("identity",), lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Hardswish()), (IMAGE,)),
    "slice": Case(("strided",), lambda: Call(lambda x: x[:, 3:60, ::2]), ((10, 64, 64, 64),)),
    "split": Case(("split",), lambda: Call(lambda x: torch.cat(torch.split(x, 16, 1)[::-1], 1)), (IMAGE,)),
    "pad": Case(("pad",), lambda: Call(lambda x: functional.pad(x, (0, 1, 0, 1))), (IMAGE,)),
}
