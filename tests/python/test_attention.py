"""Forms of matrix products, softmax, norms and attention against eager PyTorch: ranks, broadcasting, transposed
operands, negative dimensions, masks. In 8 bits each is compared as test_operators.py compares its cases."""

from collections.abc import Callable

import pytest
import torch
from test_operators import check_in_float
from together import parts
from torch import nn
from torch.nn import functional

import operators
from operator_cases import Case
from operator_cases.case import Call

ATTENTION = functional.scaled_dot_product_attention
MASK = torch.rand(33, 33) > 0.3
BIAS = torch.randn(33, 33)


def call(function: Callable, *shapes: tuple[int, ...]) -> Case:
    return Case((), lambda: Call(function), shapes)


def module(make: Callable[[], nn.Module], *shapes: tuple[int, ...]) -> Case:
    return Case((), make, shapes)


FORMS = {
    "vector matrix": call(torch.matmul, (300,), (300, 700)),
    "matrix vector": call(torch.matmul, (700, 300), (300,)),
    "batch vector": call(torch.matmul, (6, 70, 30), (30,)),
    "mv": call(torch.mv, (700, 300), (300,)),
    "dot": call(torch.dot, (300,), (300,)),
    "broadcast first": call(torch.matmul, (40, 30), (5, 6, 30, 50)),
    "broadcast second": call(torch.matmul, (5, 6, 40, 30), (30, 50)),
    "broadcast both": call(torch.matmul, (5, 1, 40, 30), (6, 30, 50)),
    "rank 5": call(torch.matmul, (2, 3, 2, 40, 30), (2, 3, 2, 30, 50)),
    "transposed first": call(lambda a, b: a.transpose(-1, -2) @ b, (6, 30, 40), (6, 30, 50)),
    "transposed second": call(lambda a, b: a @ b.mT, (6, 40, 33), (6, 57, 33)),
    "heads": call(
        lambda a, b: a.view(2, 50, 4, 16).transpose(1, 2) @ b.view(2, 50, 4, 16).permute(0, 2, 3, 1),
        (2, 50, 64),
        (2, 50, 64),
    ),
    "deep": call(torch.matmul, (30, 5000), (5000, 40)),
    "einsum": call(lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b), (2, 3, 40, 30), (2, 3, 50, 30)),
    "addmm": call(torch.addmm, (40, 50), (40, 30), (30, 50)),
    "addmm scaled": call(lambda c, a, b: torch.addmm(c, a, b, alpha=0.5, beta=2), (40, 50), (40, 30), (30, 50)),
    "baddbmm scaled": call(lambda c, a, b: torch.baddbmm(c, a, b, alpha=0.5), (1, 40, 50), (6, 40, 30), (6, 30, 50)),
    "constant second": module(lambda: Weighted(), (6, 40, 30)),
    "softmax of a vector": call(lambda x: x.softmax(0), (1000,)),
    "softmax first": call(lambda x: x.softmax(0), (10, 300)),
    "softmax middle": call(lambda x: x.softmax(-2), (5, 10, 300)),
    "softmax rank 5": call(lambda x: x.softmax(2), (2, 3, 21, 10, 12)),
    "log_softmax middle": call(lambda x: x.log_softmax(1), (5, 10, 300)),
    "layer_norm two dimensions": module(lambda: nn.LayerNorm((20, 30)), (8, 20, 30)),
    "layer_norm plain": module(lambda: nn.LayerNorm(100, elementwise_affine=False), (50, 100)),
    "layer_norm all": module(lambda: nn.LayerNorm((20, 30)), (20, 30)),
    "rms_norm two dimensions": module(lambda: nn.RMSNorm((20, 30), eps=1e-3), (8, 20, 30)),
    "rms_norm written out": call(lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5), (50, 100)),
    "group_norm rank 2": module(lambda: nn.GroupNorm(4, 64), (50, 64)),
    "group_norm rank 3": module(lambda: nn.GroupNorm(4, 32), (5, 32, 40)),
    "group_norm rank 5": module(lambda: nn.GroupNorm(4, 32, affine=False), (2, 32, 4, 5, 6)),
    "instance_norm 1d": module(lambda: nn.InstanceNorm1d(32), (5, 32, 40)),
    "instance_norm 3d": module(lambda: nn.InstanceNorm3d(32, affine=True), (2, 32, 4, 5, 6)),
    "batch_norm of features": module(lambda: nn.BatchNorm1d(64), (50, 64)),
    "batch_norm 1d": module(lambda: nn.BatchNorm1d(32), (5, 32, 40)),
    "batch_norm 3d": module(lambda: nn.BatchNorm3d(32), (2, 32, 4, 5, 6)),
    "batch_norm and relu": module(lambda: nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), (2, 64, 7, 5)),
    "batch_norm and relu6 1d": module(lambda: nn.Sequential(nn.BatchNorm1d(32), nn.ReLU6()), (5, 32, 40)),
    "softmax of weights": call(lambda x, y: x.softmax(-1) @ y, (4, 33, 300), (4, 300, 24)),
    "attention": call(ATTENTION, (2, 4, 33, 16), (2, 4, 57, 16), (2, 4, 57, 24)),
    "attention rank 3": call(ATTENTION, (4, 33, 16), (4, 57, 16), (4, 57, 24)),
    "attention scaled": call(
        lambda q, k, v: ATTENTION(q, k, v, scale=0.5), (2, 4, 33, 16), (2, 4, 33, 16), (2, 4, 33, 16)
    ),
    "attention causal": call(
        lambda q, k, v: ATTENTION(q, k, v, is_causal=True), (2, 4, 33, 16), (2, 4, 33, 16), (2, 4, 33, 16)
    ),
    "attention biased": call(lambda q, k, v: ATTENTION(q, k, v, BIAS), (2, 4, 33, 16), (2, 4, 33, 16), (2, 4, 33, 16)),
    "attention of groups": call(
        lambda q, k, v: ATTENTION(q, k, v, enable_gqa=True), (2, 4, 33, 16), (2, 2, 33, 16), (2, 2, 33, 16)
    ),
}


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(30, 50))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


# Heads that share keys are decomposed only before the quantizer.
@pytest.mark.forms
@pytest.mark.parametrize("name", FORMS)
def test_form_against_quantized_model(name: str) -> None:
    result = operators.compare(FORMS[name])
    assert result["delegate_calls"] == 1
    assert result["outside"] == 0
    assert result["largest_steps"] <= 1
    assert result["differing"] * 1000 <= max(result["elements"], 1000)


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(name for name in FORMS if name != "attention of groups"))
def test_float_form_against_eager(names: list[str]) -> None:
    check_in_float(FORMS, names)
