"""Operators that move elements."""

import torch
from torch import nn
from torch.nn import functional

from operator_cases.case import IMAGE, Call, Case

CASES: dict[str, Case] = {
    "flatten": Case(("reshape",), lambda: nn.Flatten(), (IMAGE,)),
    "permute": Case(("permute",), lambda: Call(lambda x: x.permute(0, 2, 3, 1)), (IMAGE,)),
    "cat": Case(("concat",), lambda: Call(lambda x, y: torch.cat([x, y], 1)), (IMAGE, IMAGE)),
    "dropout": Case(("identity",), lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Hardswish()), (IMAGE,)),
    "slice": Case(("strided",), lambda: Call(lambda x: x[:, 3:60, ::2]), ((10, 64, 64, 64),)),
    "split": Case(("split",), lambda: Call(lambda x: torch.cat(torch.split(x, 16, 1)[::-1], 1)), (IMAGE,)),
    "pad": Case(("pad",), lambda: Call(lambda x: functional.pad(x, (0, 1, 0, 1))), (IMAGE,)),
}
