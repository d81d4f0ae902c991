"""Scaled dot-product attention as the calls that the core makes of it, so that each of them is quantized."""

from typing import Any

import torch
from torch.fx import GraphModule, Node

from openenn import _core, fx, noncore

_KEPT_META = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")


def decompose_attention(model: GraphModule) -> None:
    """Replaces every attention that the core decomposes."""
    changed = False
    for node in list(model.graph.nodes):
        if node.op == "call_function" and str(fx.overload(node.target)) == _core.ATTENTION:
            changed |= _replace(model, node)
    if changed:
        model.graph.eliminate_dead_code()
        model.recompile()


def _replace(model: GraphModule, node: Node) -> bool:
    imported, arguments, result_type = fx.import_call(node)
    steps = _core.decompose_attention(imported.graph, _core.ATTENTION, node.name, arguments, result_type)
    if steps is None:
        return False
    nodes = dict(imported.values)
    result = node
    with model.graph.inserting_before(node):
        for number, (target, name, named, data, tensor_type) in enumerate(steps):
            if target:
                values = [nodes[value.id] if isinstance(value, _core.Tensor) else value for _, value in named]
                result = _call(model, node, target, values)
            else:
                result = _constant(model, node, name, data, tensor_type)
            nodes[_core.MADE_TENSOR + number] = result
    node.replace_all_uses_with(result)
    model.graph.erase_node(node)
    return True


def _call(model: GraphModule, attention: Node, target: str, arguments: list[Any]) -> Node:
    function = noncore.named(target)
    assert function is not None
    node = model.graph.call_function(function, tuple(arguments))
    node.meta = {key: attention.meta[key] for key in _KEPT_META if key in attention.meta}
    node.meta["val"] = function(*[item.meta["val"] if isinstance(item, Node) else item for item in arguments])
    return node


def _constant(model: GraphModule, attention: Node, name: str, data: bytes, tensor_type: Any) -> Node:
    dtype, shape = tensor_type
    tensor = torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).reshape(shape)
    model.register_buffer(name, tensor, persistent=False)
    node = model.graph.get_attr(name)
    node.meta["val"] = attention.meta["val"].fake_mode.from_tensor(tensor)
    return node
