"""Many small models lowered as one program: most of the time of a lowering does not depend on how small a model is.

The models share nothing, so each has the quantization and the result that it has alone. `parts` makes the parameters of
a test from a table of cases; the test checks the cases of its part one by one, and names the one that fails.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

import common
from operators import calls_of

PART = 12  # cases per program: ExecuTorch's passes slow down with the length of a graph


def parts(names: Iterable[str]) -> list[Any]:
    """Parameters: lists of names."""
    every = list(names)
    batches = [every[i : i + PART] for i in range(0, len(every), PART)]
    return [pytest.param(part, id=f"{part[0]} to {part[-1]}" if len(part) > 1 else part[0]) for part in batches]


@dataclass(frozen=True)
class Case:
    """A model with its inputs."""

    name: str
    model: nn.Module
    inputs: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Result:
    """The outputs of one case: the program's, and those of the model that it was made of; the step of the result."""

    name: str
    expected: torch.Tensor
    actual: torch.Tensor
    step: float


class Together(nn.Module):
    """Models side by side: the inputs and the outputs of all of them, one after the other."""

    def __init__(self, cases: list[Case]) -> None:
        super().__init__()
        self.models = nn.ModuleList(case.model for case in cases)
        self.counts = [len(case.inputs) for case in cases]

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values = iter(inputs)
        return tuple(
            model(*itertools.islice(values, count)) for model, count in zip(self.models, self.counts, strict=True)
        )


def _step(node: torch.fx.Node, value: torch.Tensor) -> float:
    """Of a quantized result its scale; an integer counts in steps of 1, what stays in float in roundings."""
    if "dequantize" in str(node.target):
        return float(node.args[1])  # type: ignore[arg-type]
    return 1e-5 * float(value.abs().max()) if value.is_floating_point() else 1.0


def _lowered(cases: list[Case], quantized: bool) -> list[Result]:
    inputs = tuple(value for case in cases for value in case.inputs)
    model: nn.Module = Together(cases).eval()
    with torch.no_grad():
        if quantized:
            model = common.quantize(model, [inputs], inputs)
        edge = common.lower(model, inputs)
        # One delegate call takes all of them.
        assert calls_of(edge) == (1, 0)
        expected = model(*inputs)
        actual = common.Pte(edge.to_executorch().buffer).outputs(*inputs)
    steps = [1.0] * len(cases)
    if quantized:
        results = model.graph.output_node().args[0]
        steps = [_step(node, value) for node, value in zip(results, expected, strict=True)]
    assert len(expected) == len(actual) == len(cases)
    return [Result(*values) for values in zip((case.name for case in cases), expected, actual, steps, strict=True)]


def lower_together(cases: list[Case], quantized: bool = False) -> list[Result]:
    """The results of each case; where they fail together, each is lowered alone and the first that fails is named."""
    try:
        return _lowered(cases, quantized)
    except Exception:
        for case in cases:
            try:
                _lowered([case], quantized)
            except Exception as e:
                raise AssertionError(f"'{case.name}' fails") from e
        raise


def check_together(
    cases: list[Case], check: Callable[[torch.Tensor, torch.Tensor, float], None], quantized: bool = False
) -> None:
    """`check` gets what is expected of each case, what the program gives, and the step of the result."""
    for result in lower_together(cases, quantized):
        try:
            assert result.actual.dtype == result.expected.dtype
            assert result.actual.shape == result.expected.shape
            check(result.expected, result.actual, result.step)
        except AssertionError as e:
            raise AssertionError(f"'{result.name}': {e}") from e
