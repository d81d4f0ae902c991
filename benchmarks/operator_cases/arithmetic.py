"""Functions of two operands, comparisons, conversions, constants, and more functions of one operand."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from operator_cases.case import IMAGE, Call, Case, binary, unary


def apart_from_zero() -> tuple[torch.Tensor, ...]:
    divisor = torch.randn(IMAGE)
    return torch.randn(IMAGE) * 2, divisor.sign() * (divisor.abs() + 0.5)


def positive_base() -> tuple[torch.Tensor, ...]:
    return torch.rand(IMAGE) + 0.5, torch.randn(IMAGE)


def whole_numbers() -> tuple[torch.Tensor, ...]:
    return torch.randint(-9, 9, IMAGE), torch.randint(1, 9, IMAGE)


def truths() -> tuple[torch.Tensor, ...]:
    return torch.rand(IMAGE) < 0.5, torch.rand(IMAGE) < 0.5


def inside(limit: float) -> Callable[[], tuple[torch.Tensor, ...]]:
    return lambda: ((torch.rand(IMAGE) * 2 - 1) * limit,)


def case(operator: str, function: Callable, make_inputs: Callable | None = None) -> Case:
    shapes = () if make_inputs else (IMAGE, IMAGE)
    return Case((operator,), lambda: Call(function), shapes, make_inputs=make_inputs)


def narrow(operator: str, function: Callable, limit: float) -> Case:
    return Case((operator,), lambda: Call(function), make_inputs=inside(limit))


CASES: dict[str, Case] = {
    "div": case("div", torch.div, apart_from_zero),
    "div by a number": unary("div", lambda x: x / 3.0),
    "rsub": unary("sub", lambda x: 1.0 - x),
    "add with alpha": binary("add", lambda x, y: torch.add(x, y, alpha=0.3)),
    "maximum": binary("maximum", torch.maximum),
    "minimum": binary("minimum", torch.minimum),
    "clamp to tensors": Case(
        ("clamp_tensor", "maximum", "minimum"),
        lambda: Call(lambda x, y, z: torch.clamp(x, y, z)),
        (IMAGE, IMAGE, IMAGE),
    ),
    "pow of tensors": case("pow", torch.pow, positive_base),
    "pow of a number": unary("scalar_pow", lambda x: torch.pow(2.0, x)),
    "atan2": binary("atan2", torch.atan2),
    "floor_divide": case("floor_divide", lambda x, y: torch.relu(torch.floor_divide(x, y)), apart_from_zero),
    "div trunc": case("trunc_divide", lambda x, y: torch.relu(torch.div(x, y, rounding_mode="trunc")), apart_from_zero),
    "remainder": case("remainder", torch.remainder, apart_from_zero),
    "fmod": case("fmod", torch.fmod, apart_from_zero),
    "prelu": Case(("prelu",), lambda: nn.PReLU(64), (IMAGE,)),
    "prelu with one slope": Case(("prelu",), lambda: nn.PReLU(), (IMAGE,)),
    "eq": case("eq", torch.eq, whole_numbers),
    "ne": case("ne", torch.ne, whole_numbers),
    "lt": binary("lt", torch.lt),
    "le": binary("le", torch.le),
    "gt": binary("gt", torch.gt),
    "ge": binary("ge", torch.ge),
    "logical_and": case("and", torch.logical_and, truths),
    "logical_or": case("or", torch.logical_or, truths),
    "logical_xor": case("xor", torch.logical_xor, truths),
    "floor_divide of int64": case("floor_divide", torch.floor_divide, whole_numbers),
    "where": binary("where", lambda x, y: functional.relu(torch.where(x > y, x, y * 0.5))),
    "masked_fill": binary("where", lambda x, y: functional.relu(x.masked_fill(y > 0, -1.0))),
    "to int64": Case(("convert",), lambda: Call(lambda x: (x * 10).to(torch.int64)), (IMAGE,)),
    "full": Case(("fill",), lambda: Call(lambda x: x + torch.full((64, 1, 1), 0.5)), (IMAGE,)),
    "arange": Case(("arange",), lambda: Call(lambda x: x * torch.arange(64).to(torch.float32)), (IMAGE,)),
    "reciprocal": unary("reciprocal", torch.reciprocal, positive=True),
    "sign": unary("sign", torch.sign),
    "round": unary("round", torch.round),
    "trunc": unary("trunc", torch.trunc),
    "erf": unary("erf", torch.erf),
    "erfc": unary("erfc", torch.erfc),
    "exp2": unary("scalar_pow", torch.exp2),
    "log2": unary("log2", torch.log2, positive=True),
    "log10": unary("log10", torch.log10, positive=True),
    "log1p": unary("log1p", torch.log1p, positive=True),
    "expm1": unary("expm1", torch.expm1),
    "tan": narrow("tan", torch.tan, 1.2),
    "asin": narrow("asin", torch.asin, 0.99),
    "acos": narrow("acos", torch.acos, 0.99),
    "atan": unary("atan", torch.atan),
    "sinh": unary("sinh", torch.sinh),
    "cosh": unary("cosh", torch.cosh),
    "asinh": unary("asinh", torch.asinh),
    "acosh": Case(("acosh",), lambda: Call(torch.acosh), make_inputs=lambda: (torch.rand(IMAGE) * 5 + 1.5,)),
    "atanh": narrow("atanh", torch.atanh, 0.95),
    "celu": unary("celu", lambda x: functional.celu(x, 1.5)),
    "selu": unary("selu", functional.selu),
    "threshold": unary("threshold", lambda x: functional.threshold(x, 0.5, -1.0)),
    "hardshrink": unary("hardshrink", functional.hardshrink),
    "softshrink": unary("softshrink", functional.softshrink),
    "log_sigmoid": unary("log_sigmoid", functional.logsigmoid),
}
