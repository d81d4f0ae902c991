"""Multiplications with a sum (MACs) of a Q/DQ program, and which of them have operands that are not quantized."""

import re
from math import prod

import torch
from torch.fx import Node

_CONVOLUTIONS = {"aten.conv1d.default", "aten.conv2d.default", "aten.convolution.default", "aten.conv1d.padding"}
_CONVOLUTIONS |= {"aten.conv2d.padding", "aten.conv_transpose1d.default", "aten.conv_transpose2d.input"}
_PRODUCTS = {"aten.linear.default", "aten.matmul.default", "aten.mm.default", "aten.bmm.default"}
_FACTORS = {"aten.addmm.default": (1, 2), "aten.baddbmm.default": (1, 2)}
_ATTENTION = "aten.scaled_dot_product_attention.default"
_CELLS = {"aten.lstm_cell.default", "aten.gru_cell.default"}
# Operators that hand on the values of their first operand.
_PLACE = re.compile(
    r"(aten\.|<built-in function )(alias|chunk|clone|contiguous|expand|flatten|getitem|pad|permute|reshape|select|slice"
    r"|split|squeeze|t|transpose|unflatten|unsqueeze|view)\b"
)


def _shape(node: Node) -> torch.Size:
    return node.meta["val"].shape


def _name(node: Node) -> str:
    return str(node.target)


def _is_quantized(node: object) -> bool:
    while isinstance(node, Node) and node.op == "call_function":
        name = _name(node)
        if "dequantize" in name:
            return True
        if not _PLACE.match(name):
            return False
        node = node.args[0]
    return False


def _macs(node: Node) -> tuple[int, tuple[int, ...]]:
    """The MACs of a call, and the indices of its two factors."""
    name = _name(node)
    if name in _CONVOLUTIONS:
        weight = _shape(node.args[1])
        transposed = "transpose" in name or (name == "aten.convolution.default" and bool(node.args[6]))
        positions = _shape(node.args[0]) if transposed else _shape(node)
        return prod(positions) * prod(weight[1:]), (0, 1)
    if name in _PRODUCTS or name in _FACTORS:
        factors = _FACTORS.get(name, (0, 1))
        return prod(_shape(node)) * _shape(node.args[factors[0]])[-1], factors
    if name == _ATTENTION:
        query, key, value = (_shape(node.args[i]) for i in range(3))
        return prod(query[:-1]) * key[-2] * (query[-1] + value[-1]), (0, 1)
    if name in _CELLS:
        return _shape(node.args[0])[0] * sum(prod(_shape(node.args[i])) for i in (2, 3)), (0, 2)
    return 0, ()


def share_in_float(quantized: torch.fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> float | None:
    """The share of the MACs of which a factor is not the result of a dequantize; None without any MAC."""
    total = in_float = 0
    for node in torch.export.export(quantized, inputs).graph.nodes:
        if node.op == "call_function":
            macs, factors = _macs(node)
            total += macs
            in_float += macs * (not all(_is_quantized(node.args[i]) for i in factors))
    return in_float / total if total else None
