"""What a case is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


@dataclass
class Case:
    """`operators`: what ops.def calls those that the module shows.

    A `chain` quantizes results between its operators; each of them is compared on its own operands.
    """

    operators: tuple[str, ...]
    module: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...] = ()
    positive: bool = False  # the operator is defined for positive numbers
    make_inputs: Callable[[], tuple[torch.Tensor, ...]] | None = None  # other inputs than normal ones of `shapes`
    chain: bool = False

    def inputs(self) -> tuple[torch.Tensor, ...]:
        if self.make_inputs is not None:
            return self.make_inputs()
        tensors = tuple(torch.randn(shape) * 2 for shape in self.shapes)
        return tuple(tensor.abs() + 0.05 for tensor in tensors) if self.positive else tensors


IMAGE = (4, 64, 64, 64)


def unary(operator: str, function: Callable, positive: bool = False) -> Case:
    return Case((operator,), lambda: Call(function), (IMAGE,), positive)


def binary(operator: str, function: Callable) -> Case:
    return Case((operator,), lambda: Call(function), (IMAGE, IMAGE))
