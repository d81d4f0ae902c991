"""Composite operators as calls of operators that the core knows, so that each of them is quantized.

The core writes those that it lists, as its own door does; PyTorch's decompositions write the others, where all that
they give is known to the core.
"""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch._decomp import core_aten_decompositions
from torch._ops import OpOverload
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from openenn import _core, fx, noncore

_KEPT_META = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")


def decompose(model: GraphModule) -> None:
    """Replaces every composite operator that can be written so."""
    changed = False
    waiting = list(reversed(model.graph.nodes))
    while waiting:
        node = waiting.pop()
        if node.op != "call_function" or "val" not in node.meta:
            continue
        before = node.prev
        target = str(fx.overload(node.target))
        if target in fx.COMPOSITES:
            results = _by_core(model, node, target)
        elif isinstance(node.target, OpOverload) and target not in fx.OPERATORS:
            results = _by_torch(model, node)
            waiting += reversed(_between(before, node))  # composites among them are decomposed in turn
        else:
            continue
        if results is not None:
            _replace(model, node, results)
            changed = True
    if changed:
        model.graph.eliminate_dead_code()
        model.recompile()


def _between(before: Node, after: Node) -> list[Node]:
    nodes = []
    while (before := before.next) is not after:
        nodes.append(before)
    return nodes


def _by_core(model: GraphModule, node: Node, target: str) -> list[Node] | None:
    """The nodes that give the results of a composite; they stand in front of it."""
    imported, arguments, types = fx.import_call(node)
    decomposition = _core.decompose(imported.graph, target, node.name, arguments, types)
    if decomposition is None:
        return None
    steps, results = decomposition
    nodes = dict(imported.values)
    with model.graph.inserting_before(node):
        for number, (step, name, named, data, tensor_type) in enumerate(steps):
            if step:
                made = _call_by_name(model, node, step, named, nodes)
            else:
                made = _constant(model, node, name, _tensor(data, tensor_type))
            nodes[_core.MADE_TENSOR + number] = made
    return [nodes[result] for result in results]


def _call_by_name(
    model: GraphModule, node: Node, target: str, named: Sequence[tuple[str, Any]], nodes: dict[int, Node]
) -> Node:
    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(part) for part in item]
        return nodes[item.id] if isinstance(item, _core.Tensor) else item

    function = noncore.named(target)
    assert function is not None
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for (name, item), argument in zip(named, function._schema.arguments, strict=False):
        if keywords or argument.kwarg_only or argument.name != name:
            keywords[name] = value(item)
        else:
            positional.append(value(item))
    return _call(model, node, function, tuple(positional), keywords)


def _by_torch(model: GraphModule, node: Node) -> list[Node] | None:
    """The same by PyTorch's own decompositions; None where they give an operator that the core does not know."""
    op = node.target
    assert isinstance(op, OpOverload)
    leaves, spec = pytree.tree_flatten((node.args, node.kwargs))
    operands = list(dict.fromkeys(leaf for leaf in leaves if isinstance(leaf, Node)))
    values = [operand.meta.get("val") for operand in operands]
    results = pytree.tree_leaves(node.meta["val"])
    if not _can_be_traced(op, [*values, *results]):
        return None

    def run(*tensors: torch.Tensor) -> list[Any]:
        given = dict(zip(operands, tensors, strict=True))
        args, kwargs = pytree.tree_unflatten([given[leaf] if isinstance(leaf, Node) else leaf for leaf in leaves], spec)
        return pytree.tree_leaves(op(*args, **kwargs))

    try:
        with _fake_mode(node):
            traced = make_fx(run, decomposition_table=_torch_decompositions())(*values)
    except Exception:  # a decomposition may ask for values, which an export does not have
        return None
    calls = [inner for inner in traced.graph.nodes if inner.op == "call_function"]
    if not all(inner.target is operator.getitem or str(inner.target) in fx.KNOWN for inner in calls):
        return None
    return _inline(model, node, traced, operands)


def _can_be_traced(op: OpOverload, values: list[Any]) -> bool:
    def is_static(value: Any) -> bool:
        return isinstance(value, FakeTensor) and not any(isinstance(size, torch.SymInt) for size in value.shape)

    composite = op in _torch_decompositions() or op._can_decompose()
    return composite and noncore.is_functional(op) and bool(values) and all(map(is_static, values))


def _inline(model: GraphModule, node: Node, traced: GraphModule, operands: list[Node]) -> list[Node]:
    remaining = iter(operands)
    copies: dict[Node, Node] = {}
    results: list[Node] = []
    with model.graph.inserting_before(node):
        for inner in traced.graph.nodes:
            if inner.op == "placeholder":
                copies[inner] = next(remaining)
            elif inner.op == "get_attr":
                name = f"_{node.name}_{inner.target.lstrip('_')}"
                copies[inner] = _constant(model, node, name, getattr(traced, inner.target))
            elif inner.op == "call_function":
                args, kwargs = pytree.tree_map_only(Node, copies.__getitem__, (inner.args, inner.kwargs))
                copies[inner] = _call(model, node, inner.target, args, kwargs)
            elif inner.op == "output":
                results = [copies[result] for result in inner.args[0]]
    return results


@functools.cache
def _torch_decompositions() -> dict[Any, Callable]:
    """PyTorch's decompositions of what the core does not take whole."""
    return {op: made for op, made in core_aten_decompositions().items() if str(op) not in fx.KNOWN}


def _replace(model: GraphModule, node: Node, results: list[Node]) -> None:
    if isinstance(node.meta["val"], (tuple, list)):
        for user in list(node.users):
            user.replace_all_uses_with(results[int(user.args[1])])  # type: ignore[arg-type]
            model.graph.erase_node(user)
    else:
        node.replace_all_uses_with(results[0])
    model.graph.erase_node(node)


def _call(
    model: GraphModule, replaced: Node, function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Node:
    node = model.graph.call_function(function, args, kwargs)
    node.meta = {key: replaced.meta[key] for key in _KEPT_META if key in replaced.meta}
    given, named = pytree.tree_map_only(Node, lambda item: item.meta["val"], (args, kwargs))
    with _fake_mode(replaced):
        node.meta["val"] = function(*given, **named)
    return node


def _tensor(data: bytes, tensor_type: tuple[str, list[int]]) -> torch.Tensor:
    dtype, shape = tensor_type
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).reshape(shape)


def _constant(model: GraphModule, replaced: Node, name: str, tensor: torch.Tensor) -> Node:
    model.register_buffer(name, tensor, persistent=False)
    node = model.graph.get_attr(name)
    node.meta["val"] = _fake_mode(replaced).from_tensor(tensor)
    return node


def _fake_mode(node: Node) -> FakeTensorMode:
    """The mode in which the model was exported."""
    return next(value.fake_mode for value in _tensors_of(node))


def _tensors_of(node: Node) -> Iterator[FakeTensor]:
    for value in pytree.tree_leaves(node.meta["val"]):
        if isinstance(value, FakeTensor):
            yield value
