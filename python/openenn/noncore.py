"""Operators that ExecuTorch's verifier refuses, under names that it accepts.

It lets an operator pass that is Core ATen, that has a decomposition which a partitioner asked not to apply, or that is
not of ATen at all. One that the core takes and that is neither of the first two, as aten.adaptive_max_pool2d, goes
through lowering as openenn.adaptive_max_pool2d, of the same schema and computed by the same function.
"""

import functools

import torch
from torch._ops import OpOverload
from torch.fx import Graph

from openenn import _core

_NAMESPACE = "openenn"
_library = torch.library.Library(_NAMESPACE, "FRAGMENT")


def named(target: str) -> OpOverload | None:
    """The operator that the core calls namespace.name.overload; None where this torch has none."""
    namespace, name, overload = target.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), name, None), overload, None)


@functools.cache
def known_operators() -> list[OpOverload]:
    """The overloads of ATen in the core's table."""
    found = [named(target) for target, _, _ in _core.operators() if target.startswith("aten.")]
    return [op for op in found if op is not None]


def operators(decomposed: set[OpOverload]) -> set[OpOverload]:
    """Those of the core's table that need another name; `decomposed` have a decomposition."""
    return {
        op
        for op in known_operators()
        if op not in decomposed
        and not {torch.Tag.core, torch.Tag.view_copy} & set(op.tags)
        and not op._can_decompose()
        and is_functional(op)
    }


def is_functional(op: OpOverload) -> bool:
    """Whether it neither writes into an operand nor gives a view of one."""
    return not op._schema.is_mutable and all(result.alias_info is None for result in op._schema.returns)


def rename(graph: Graph, nodes: set[str], renamed: set[OpOverload]) -> None:
    """Gives those of the nodes of these names that call one of the operators the operator's other name."""
    for node in graph.nodes:
        if node.name in nodes and node.target in renamed:
            node.target = _renamed(node.target)


def original(op: OpOverload) -> OpOverload:
    """The operator of ATen that an operator with another name stands for; any other as it is."""
    if op.namespace != _NAMESPACE:
        return op
    return _under("aten", op)


@functools.cache
def _renamed(op: OpOverload) -> OpOverload:
    name = str(op._schema).split("(", 1)[0].removeprefix("aten::")
    _library.define(str(op._schema).removeprefix("aten::"))
    _library.impl(name, op, "CompositeExplicitAutograd")
    return _under(_NAMESPACE, op)


def _under(namespace: str, op: OpOverload) -> OpOverload:
    counterpart = named(f"{namespace}.{op._opname}.{op._overloadname}")
    assert counterpart is not None
    return counterpart
