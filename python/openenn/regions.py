"""The bodies of torch.no_grad() and torch.autocast in a model, which torch.export keeps as graphs of their own.

No quantizer sees into them, so they are written into the model's graph.
"""

import logging
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

_aten = torch.ops.aten
_GRAD = torch.ops.higher_order.wrap_with_set_grad_enabled
_AUTOCAST = torch.ops.higher_order.wrap_with_autocast
_logger = logging.getLogger("openenn")


def inline_regions(model: GraphModule, trains: bool) -> bool:
    """Whether there were any. With `trains`, no gradient flows out of what was under no_grad."""
    changed = False
    pending = [node for node in model.graph.nodes if node.target in (_GRAD, _AUTOCAST)]
    while pending:
        node = pending.pop()
        try:
            written = _inline(model, node, trains)
        except (RuntimeError, TypeError) as error:
            reason = str(error).partition("\n")[0]
            _logger.warning("node '%s' stays under autocast and is not quantized: %s", node.name, reason)
            continue
        pending += [new for new in written if new.target in (_GRAD, _AUTOCAST)]
        changed = True
    if changed:
        model.graph.eliminate_dead_code()
        model.recompile()
    return changed


@dataclass
class _Region:
    body: GraphModule
    operands: tuple[Any, ...]
    stops_gradient: bool
    autocast: torch.dtype | None  # in which autocast computes; None where it is off


def _region(model: GraphModule, node: Node) -> _Region:
    if node.target is _GRAD:
        enabled, body, *operands = node.args
        return _Region(model.get_submodule(str(body.target)), tuple(operands), not enabled, None)
    _, dtype, enabled, _, body, *operands = node.args
    return _Region(model.get_submodule(str(body.target)), tuple(operands), False, dtype if enabled else None)


def _inline(model: GraphModule, node: Node, trains: bool) -> list[Node]:
    region = _region(model, node)
    writer = _Writer(model, node)
    try:
        results = _write_body(writer, region)
        if trains and region.stops_gradient:
            results = [
                writer.call(_aten.detach.default, (item,)) if isinstance(item, Node) else item for item in results
            ]
    except Exception:
        for new in reversed(writer.written):
            model.graph.erase_node(new)
        raise
    for user in list(node.users):
        result = results[user.args[1]]
        result.meta = {**user.meta, **result.meta}
        user.replace_all_uses_with(result)
        model.graph.erase_node(user)
    model.graph.erase_node(node)
    return writer.written


def _write_body(writer: "_Writer", region: _Region) -> list[Any]:
    """Its results. Under autocast everything is computed in float32, of which 8 bits are made anyway."""
    values: dict[Node, Any] = {}
    operands = iter(region.operands)
    low = region.autocast
    if low is not None and not _computes_in(region.body, low):
        low = None
    for inner in region.body.graph.nodes:
        if inner.op == "placeholder":
            operand = next(operands)
            values[inner] = writer.to(operand, torch.float32) if low is not None and _is(operand, low) else operand
        elif inner.op == "get_attr":
            values[inner] = writer.attribute(region.body, inner)
        elif inner.op == "call_function":
            values[inner] = writer.copy(inner, values, recompute=low is not None)
        elif inner.op == "output":
            outputs = inner.args[0] if isinstance(inner.args[0], (tuple, list)) else inner.args
            results = [values.get(item, item) if isinstance(item, Node) else item for item in outputs]
            if low is None:
                return results
            return [
                writer.to(result, low) if _is(item, low) and not _is(result, low) else result
                for item, result in zip(outputs, results, strict=True)
            ]
    return []


def _computes_in(body: GraphModule, dtype: torch.dtype) -> bool:
    return any(_is(node, dtype) for node in body.graph.nodes)


def _is(node: Any, dtype: torch.dtype) -> bool:
    value = node.meta.get("val") if isinstance(node, Node) else None
    return isinstance(value, torch.Tensor) and value.dtype == dtype


class _Writer:
    """Writes nodes before one of a model."""

    def __init__(self, model: GraphModule, before: Node) -> None:
        self._model = model
        self._before = before
        self.written: list[Node] = []

    def call(self, target: Callable[..., Any], arguments: tuple[Any, ...]) -> Node:
        with self._model.graph.inserting_before(self._before):
            node = self._model.graph.call_function(target, arguments)
        node.meta = {key: value for key, value in arguments[0].meta.items() if key != "val"}
        return self._evaluated(node)

    def to(self, value: Node, dtype: torch.dtype) -> Node:
        return self.call(_aten.to.dtype, (value, dtype))

    def copy(self, inner: Node, values: dict[Node, Any], recompute: bool) -> Node:
        with self._model.graph.inserting_before(self._before):
            node = self._model.graph.node_copy(inner, values.__getitem__)
        self.written.append(node)
        checks = inner.target is _aten._assert_tensor_metadata.default
        if recompute and checks:
            node.kwargs = {**node.kwargs, "dtype": None}
        elif recompute and inner.target is not operator.getitem and not isinstance(inner.target, str):
            self.written.pop()
            return self._evaluated(node)
        return node

    def attribute(self, body: GraphModule, inner: Node) -> Node:
        value = operator.attrgetter(str(inner.target))(body)
        name = f"{self._before.name}_{str(inner.target).replace('.', '_')}"
        if isinstance(value, torch.nn.Module):
            self._model.add_submodule(name, value)
        else:
            self._model.register_buffer(name, value, persistent=False)
        with self._model.graph.inserting_before(self._before):
            node = self._model.graph.get_attr(name)
        node.meta = dict(inner.meta)
        self.written.append(node)
        return node

    def _evaluated(self, node: Node) -> Node:
        self.written.append(node)
        arguments, named = torch.fx.node.map_arg((node.args, node.kwargs), lambda item: item.meta.get("val", item))
        node.meta["val"] = node.target(*arguments, **named)  # type: ignore[operator]
        return node
