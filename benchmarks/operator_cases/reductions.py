"""Operators that reduce dimensions, running sums and orders."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from operator_cases.case import IMAGE, Call, Case


def flags() -> tuple[torch.Tensor, ...]:
    return (torch.rand(1024, 1024) < 0.001,)


def between_activations(function: Callable[..., Any]) -> nn.Module:
    """The operator reads and gives 8-bit values although it is not annotated itself."""
    return nn.Sequential(nn.Hardswish(), Call(function), nn.Hardswish())


CASES: dict[str, Case] = {
    "mean": Case(("mean",), lambda: Call(lambda x: x.mean((2, 3))), ((512, 2048, 4, 4),)),
    "mean apart": Case(("mean",), lambda: Call(lambda x: x.mean((0, 3), keepdim=True)), ((4, 256, 2048, 2),)),
    "sum": Case(("sum",), lambda: Call(lambda x: x.sum((1,))), (IMAGE,)),
    "amax": Case(("amax",), lambda: Call(lambda x: x.amax((1,))), (IMAGE,)),
    "amin": Case(("amin",), lambda: Call(lambda x: x.amin((2, 3))), (IMAGE,)),
    "prod": Case(("prod",), lambda: Call(lambda x: x.prod(3)), ((65536, 2, 2, 4),)),
    "var": Case(("var",), lambda: Call(lambda x: x.var(3)), (IMAGE,)),
    "std": Case(("std",), lambda: Call(lambda x: x.std(1, correction=0)), (IMAGE,)),
    "var_mean": Case(("var_mean",), lambda: Call(lambda x: torch.cat(torch.var_mean(x, 3))), (IMAGE,)),
    "std_mean": Case(("std_mean",), lambda: Call(lambda x: torch.cat(torch.std_mean(x, 3))), (IMAGE,)),
    "argmax": Case(("argmax",), lambda: nn.Sequential(nn.Hardswish(), Call(lambda x: x.argmax(1))), (IMAGE,)),
    "argmin": Case(("argmin",), lambda: nn.Sequential(nn.Hardswish(), Call(lambda x: x.argmin(1))), (IMAGE,)),
    "max of a dimension": Case(("max_dim",), lambda: between_activations(lambda x: x.max(1).values), (IMAGE,)),
    "min of a dimension": Case(("min_dim",), lambda: between_activations(lambda x: x.min(2).values), (IMAGE,)),
    "topk": Case(("topk",), lambda: between_activations(lambda x: x.topk(5, 3).values), (IMAGE,)),
    "sort": Case(("topk",), lambda: between_activations(lambda x: x.sort(3).values), (IMAGE,)),
    "argsort": Case(("argsort",), lambda: Call(lambda x: torch.argsort(x, stable=True, dim=1)), (IMAGE,)),
    "cumsum": Case(("cumsum",), lambda: Call(lambda x: x.cumsum(1)), (IMAGE,)),
    "cumprod": Case(("cumprod",), lambda: Call(lambda x: x.cumprod(3)), ((65536, 2, 2, 4),)),
    "any": Case(("any",), lambda: Call(lambda x: x.any(1)), make_inputs=flags),
    "all": Case(("all",), lambda: Call(lambda x: x.all(1)), make_inputs=lambda: (~flags()[0],)),
}
