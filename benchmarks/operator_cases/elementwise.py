"""Operators that work element by element."""

import torch
from torch.nn import functional

from operator_cases.case import Case, binary, unary

CASES: dict[str, Case] = {
    "add": binary("add", torch.add),
    "sub": binary("sub", torch.sub),
    "mul": binary("mul", torch.mul),
    "relu": unary("relu", functional.relu),
    "relu6": unary("clamp", functional.relu6),
    "sigmoid": unary("sigmoid", torch.sigmoid),
    "tanh": unary("tanh", torch.tanh),
    "hardswish": unary("hardswish", functional.hardswish),
    "hardsigmoid": unary("hardsigmoid", functional.hardsigmoid),
    "leaky_relu": unary("leaky_relu", lambda x: functional.leaky_relu(x, 0.1)),
    "elu": unary("elu", functional.elu),
    "gelu": unary("gelu", functional.gelu),
    "gelu tanh": unary("gelu_tanh", lambda x: functional.gelu(x, approximate="tanh")),
    "silu": unary("silu", functional.silu),
    "mish": unary("mish", functional.mish),
    "softplus": unary("softplus", functional.softplus),
    "abs": unary("abs", torch.abs),
    "neg": unary("neg", torch.neg),
    "ceil": unary("ceil", torch.ceil),
    "floor": unary("floor", torch.floor),
    "sqrt": unary("sqrt", torch.sqrt, positive=True),
    "rsqrt": unary("rsqrt", torch.rsqrt, positive=True),
    "exp": unary("exp", torch.exp),
    "log": unary("log", torch.log, positive=True),
    "sin": unary("sin", torch.sin),
    "cos": unary("cos", torch.cos),
    "pow": unary("pow_scalar", lambda x: torch.pow(x, 2.0)),
}
