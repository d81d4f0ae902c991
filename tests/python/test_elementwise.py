"""Odd forms of elementwise operators, element types and constants, against eager PyTorch."""

from collections.abc import Callable

import pytest
import torch
from together import Case, check_together, parts
from torch import nn
from torch.nn import functional

import common
from operator_cases.case import Call


def run(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """What eager PyTorch and the program give; the whole module is one delegate call."""
    module = module.eval()
    with torch.no_grad():
        lowered = common.lower(module, inputs)
        expected, actual = module(*inputs), common.Pte(lowered.to_executorch().buffer)(*inputs)
    calls = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    outside = [call for call in calls if "getitem" not in call and "executorch_call_delegate" not in call]
    assert outside == []
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    return expected, actual


def close(expected: torch.Tensor, actual: torch.Tensor, step: float) -> None:
    if expected.is_floating_point():
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6, equal_nan=True)
    else:
        assert torch.equal(actual, expected)


def check(function: Callable, *inputs: torch.Tensor) -> None:
    close(*run(Call(function), inputs), 1.0)


X = torch.tensor([[1.5, -2.5, 0.0], [-0.7, 3.0, 2.0]])
Y = torch.tensor([[0.5, 2.0, -1.0], [-0.25, 3.0, 0.7]])
N = torch.tensor([[7, -7, 3], [-3, 0, 9]])
M = torch.tensor([[2, 2, -3], [-2, 5, 4]])
TRUE = torch.tensor([[True, False, True], [False, False, True]])

REAL = {
    "div floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "div trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "rsub alpha": lambda x, y: torch.rsub(x, y, alpha=2),
    "add alpha": lambda x, y: torch.add(x, y, alpha=-0.5),
    "sub alpha": lambda x, y: torch.sub(x, y, alpha=3),
    "atan2": torch.atan2,
    "pow": lambda x, y: torch.pow(x.abs() + 0.1, y),
    "clamp to a tensor": lambda x, y: torch.clamp(x, min=y),
    "where": lambda x, y: torch.where(x > y, x, y),
    "where number": lambda x, y: torch.where(x > y, x, 0.0) + torch.where(x > y, 1.5, y),
    "where numbers": lambda x, y: torch.where(x > y, 1.0, 0.0),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, float("-inf")),
    "masked_fill tensor": lambda x, y: x.masked_fill(y > 0, torch.tensor(2.0)),
    "eq": lambda x, y: (x == y) | (x < 1) & (y >= 0) ^ ~(x <= y),
    "isnan": lambda x, y: torch.isnan(x / (y - 3.0) * 0.0),
    "isinf": lambda x, y: torch.isinf(x / (y - 3.0)),
    "exp2": lambda x, y: torch.exp2(x) - y,
    "erfc": lambda x, y: torch.erfc(x * 3) + y,
    "type_as": lambda x, y: (x > y).type_as(x),
    "square": lambda x, y: torch.square(x) - torch.square(y),
    "glu": lambda x, y: functional.glu(torch.cat([x, y], 1), 1),
    "softsign": lambda x, y: functional.softsign(x) + functional.tanhshrink(y),
    "logical": lambda x, y: torch.logical_and(x, y) | torch.logical_not(x),
}


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(REAL))
def test_two_floats(names: list[str]) -> None:
    check_together([Case(name, Call(REAL[name]), (X, Y)) for name in names], close)


@pytest.mark.forms
@pytest.mark.parametrize("shapes", [((), ()), ((3,), ()), ((2, 1, 4), (3, 1)), ((2, 3, 4, 5, 2), (3, 1, 5, 1))])
def test_broadcasting(shapes: tuple) -> None:
    names = ["div floor", "maximum", "where", "eq"]
    cases = [Case(name, Call(REAL[name]), tuple(torch.randn(shape) for shape in shapes)) for name in names]
    check_together(cases, close)


INTEGER = {
    "add": torch.add,
    "add alpha": lambda x, y: torch.add(x, y, alpha=3),
    "mul": torch.mul,
    "rsub": lambda x, y: 1 - x * y,
    "floor_divide": torch.floor_divide,
    "div trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "true divide": torch.div,
    "remainder": lambda x, y: x % y,
    "fmod": torch.fmod,
    "maximum": torch.maximum,
    "bitwise": lambda x, y: (x & y) | (x ^ 5) | ~y,
    "clamp": lambda x, y: x.clamp(-1, 4) + y.clamp(min=0) * x.clamp(max=2),
    "isinf": lambda x, y: torch.isinf(x) | torch.isinf(y * 0.5),
    "compare": lambda x, y: (x < y) | (x == 3) | (y >= 4.5),
    "logical": lambda x, y: torch.logical_xor(x, y),
    "where": lambda x, y: torch.where(x > y, x, -100),
    "with floats": lambda x, y: x * 0.5 + y.float(),
    "to bool": lambda x, y: x.to(torch.bool) & y.bool(),
}


@pytest.mark.forms
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("names", parts(INTEGER))
def test_two_integers(names: list[str], dtype: torch.dtype) -> None:
    check_together([Case(name, Call(INTEGER[name]), (N.to(dtype), M.to(dtype))) for name in names], close)


def test_mixed_integers() -> None:
    check(lambda x, y: x + y, N, M.to(torch.int32))


def test_truth_values() -> None:
    check(lambda x, y: (x & ~y) ^ (x | True), TRUE, ~TRUE)
    check(lambda x, y: x * y.to(torch.float32), X, TRUE)
    check(lambda x, y: x + y, N, TRUE)


DTYPES = [torch.float32, torch.float16, torch.int64, torch.int32, torch.int8, torch.uint8, torch.bool]


@pytest.mark.forms
@pytest.mark.parametrize("before", DTYPES)
def test_conversion(before: torch.dtype) -> None:
    x = torch.tensor([0.0, 1.0, 2.5, 100.0, 127.0]).to(before)
    others = [after for after in DTYPES if after is not before]
    cases = [Case(f"{before} to {after}", Call(lambda x, after=after: x.to(after)), (x,)) for after in others]
    check_together(cases, close)


CONSTANT = {
    "arange": lambda x: x + torch.arange(3),
    "arange step": lambda x: x * torch.arange(0.5, 2.0, 0.5),
    "arange int start": lambda x: torch.arange(2, 5).to(x.dtype) - x,
    "zeros and ones": lambda x: x + torch.zeros(2, 1) - torch.ones(3),
    "full_like": lambda x: torch.where(x > 0, torch.full_like(x, 2.0), torch.zeros_like(x)),
    "new_full": lambda x: x + x.new_full((2, 3), 0.25),
    "computed": lambda x: x * (torch.arange(6).view(2, 3).t().reshape(2, 3).float().sqrt() / 3 + 1)[:, 0:1],
    "causal mask": lambda x: x.masked_fill(torch.arange(2)[:, None] < torch.arange(3)[None, :], -1e4),
    "concatenated": lambda x: x + torch.cat([torch.ones(2, 1), torch.zeros(2, 2)], 1),
    "constant tensor": lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
    "scalar tensor": lambda x: x * torch.scalar_tensor(3.0),
}


@pytest.mark.parametrize("names", parts(CONSTANT))
def test_constants(names: list[str]) -> None:
    check_together([Case(name, Call(CONSTANT[name]), (X,)) for name in names], close)


def test_result_that_is_constant() -> None:
    expected, actual = run(Call(lambda x: torch.zeros(3, 4) + x * 0 + torch.arange(4)), (torch.ones(1),))
    assert torch.equal(actual, expected)


class ComputedWeight(nn.Module):
    """A weight that a chain of operators on parameters gives."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.gamma = nn.Parameter(torch.rand(4) + 0.5)
        self.variance = nn.Parameter(torch.rand(4) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.gamma / torch.sqrt(self.variance + 1e-5)
        return functional.conv2d(x, self.weight * scale.reshape(-1, 1, 1, 1))


def test_computed_weight() -> None:
    expected, actual = run(ComputedWeight(), (torch.randn(1, 3, 8, 8),))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


PRELU = [(nn.PReLU(), (2, 3)), (nn.PReLU(3), (2, 3)), (nn.PReLU(3), (2, 3, 5)), (nn.PReLU(3), (2, 3, 4, 5))]


@pytest.mark.parametrize(("module", "shape"), PRELU)
def test_prelu(module: nn.PReLU, shape: tuple[int, ...]) -> None:
    module.weight.data.uniform_(0.1, 0.9)
    expected, actual = run(module, (torch.randn(shape),))
    assert torch.equal(actual, expected)


class HalfNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.hardswish(self.norm(self.first(x)))
        return torch.sigmoid(self.last(x.mean((2, 3)) * 2.0 + torch.ones(8, dtype=x.dtype)))


def test_float16() -> None:
    """At most as far from the exact result as eager half is, but for the rounding of the result itself."""
    model = HalfNetwork().eval().half()
    x = torch.randn(2, 3, 16, 16).half()
    expected, actual = run(model, (x,))
    assert actual.dtype == torch.float16
    exact = model.double()(x.double())
    rounding = float(torch.finfo(torch.float16).eps) / 2
    assert (actual.double() - exact).abs().max() <= (expected.double() - exact).abs().max() + rounding
