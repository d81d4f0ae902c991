"""Values that a model computes of its parameters alone, and that the core does not compute when compiling.

Parametrizations compute a weight so, torch.nn.utils.parametrizations.orthogonal by a matrix exponential, LoRA by a
product. Torch computes them once, and the results stand in the graph.
"""

import operator
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from openenn import fx


def evaluate_constants(model: GraphModule) -> bool:
    """Whether there were any."""
    constants = _constants(model)
    if all(node.op == "get_attr" for node in constants):
        return False
    imported = fx.import_module(model)
    core = {node for value, node in imported.values.items() if imported.graph.is_constant_expression(value)}
    results = [node for node in constants if node.op == "call_function" and node not in core]
    needed = set(results)
    for node in reversed(constants):  # what they are computed from stands before them
        if node in needed:
            needed.update(node.all_input_nodes)
    values: dict[Node, Any] = {}
    with torch.no_grad():
        for node in constants:
            if node not in needed:
                continue
            if node.op == "get_attr":
                values[node] = operator.attrgetter(str(node.target))(model)
            else:
                arguments, named = map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = node.target(*arguments, **named)  # type: ignore[operator]
    tensors = [node for node in results if isinstance(values[node], torch.Tensor)]
    for node in tensors:
        _replace(model, node, values[node])
    model.graph.eliminate_dead_code()
    model.recompile()
    return bool(tensors)


def _replace(model: GraphModule, node: Node, value: torch.Tensor) -> None:
    name = f"_{node.name}_value"
    model.register_buffer(name, value.detach().clone())
    with model.graph.inserting_before(node):
        constant = model.graph.get_attr(name)
    constant.meta = {key: item for key, item in node.meta.items() if key in ("val", "nn_module_stack", "stack_trace")}
    node.replace_all_uses_with(constant)


def _constants(model: GraphModule) -> list[Node]:
    """Parameters and buffers that nothing writes into, and what pure calls compute of them, in order."""
    written = _written(model)
    found: dict[Node, None] = {}
    for node in model.graph.nodes:
        if node.op == "get_attr":
            is_tensor = isinstance(operator.attrgetter(str(node.target))(model), torch.Tensor)
            if is_tensor and str(node.target) not in written:
                found[node] = None
            continue
        computed = node.op == "call_function" and node.name not in written and _is_pure(node.target)
        if computed and node.all_input_nodes and all(item in found for item in node.all_input_nodes):
            found[node] = None
    return list(found)


def _written(model: GraphModule) -> set[str]:
    """The names of nodes, parameters and buffers that a call writes into, itself or through a view."""
    names: set[str] = set()
    for node in model.graph.nodes:
        if not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable):
            continue
        base = node.args[0] if node.args else None
        while isinstance(base, Node):
            names.add(str(base.target) if base.op == "get_attr" else base.name)
            base = base.args[0] if base.args else None
    return names


def _is_pure(target: Any) -> bool:
    if target is operator.getitem:
        return True
    if not isinstance(target, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded in target.tags:
        return False
    return not target._schema.is_mutable
