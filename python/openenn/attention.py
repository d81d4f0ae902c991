"""Scaled dot-product attention as matrix products and a softmax, so that each of them is quantized."""

import math
from typing import Any

import torch
from torch.fx import GraphModule, Node

_aten = torch.ops.aten
_ATTENTION = _aten.scaled_dot_product_attention.default
_KEPT_META = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn")


def decompose_attention(model: GraphModule) -> None:
    """Replaces every scaled_dot_product_attention without dropout, as torch documents it:
    softmax(q k^T scale + mask) v."""
    changed = False
    for node in list(model.graph.nodes):
        if node.op == "call_function" and node.target is _ATTENTION:
            changed |= _Decomposition(model, node).run()
    if changed:
        model.graph.eliminate_dead_code()
        model.recompile()


class _Decomposition:
    def __init__(self, model: GraphModule, node: Node) -> None:
        self._model = model
        self._node = node
        names = [argument.name for argument in _ATTENTION._schema.arguments]
        self._arguments: dict[str, Any] = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)

    def run(self) -> bool:
        if self._arguments.get("dropout_p", 0.0) != 0.0:
            return False
        with self._model.graph.inserting_before(self._node):
            result = self._attention()
        self._node.replace_all_uses_with(result)
        self._model.graph.erase_node(self._node)
        return True

    def _attention(self) -> Node:
        query, key, value = (self._arguments[name] for name in ("query", "key", "value"))
        if self._arguments.get("enable_gqa", False):
            key, value = self._repeated(key, query), self._repeated(value, query)
        scale = self._arguments.get("scale")
        if scale is None:
            scale = 1.0 / math.sqrt(query.meta["val"].shape[-1])
        scaled = self._call(_aten.mul.Tensor, query, scale)
        scores = self._call(_aten.matmul.default, scaled, self._call(_aten.transpose.int, key, -2, -1))
        masks = [mask for mask in (self._additive_mask(), self._causal_mask(scores)) if mask is not None]
        for mask in masks:
            scores = self._call(_aten.add.Tensor, scores, mask)
        # A row that is masked as a whole gives 0, as in torch.
        softmax = _aten._safe_softmax.default if masks else _aten.softmax.int
        return self._call(_aten.matmul.default, self._call(softmax, scores, -1), value)

    def _repeated(self, heads: Node, query: Node) -> Node:
        """Each head of a group of queries reads the same key and value."""
        shape = heads.meta["val"].shape
        groups = query.meta["val"].shape[-3] // shape[-3]
        if groups == 1:
            return heads
        expanded = [*shape[:-2], groups, *shape[-2:]]
        apart = self._call(_aten.expand.default, self._call(_aten.unsqueeze.default, heads, -3), expanded)
        return self._call(_aten.reshape.default, apart, [*shape[:-3], shape[-3] * groups, *shape[-2:]])

    def _additive_mask(self) -> Node | None:
        mask = self._arguments.get("attn_mask")
        if mask is None or mask.meta["val"].dtype != torch.bool:
            return mask
        return self._call(_aten.where.ScalarSelf, mask, 0.0, self._constant(torch.tensor(-math.inf)))

    def _causal_mask(self, scores: Node) -> Node | None:
        if not self._arguments.get("is_causal", False):
            return None
        rows, columns = scores.meta["val"].shape[-2:]
        return self._constant(torch.full((rows, columns), -math.inf).triu(1))

    def _constant(self, tensor: torch.Tensor) -> Node:
        name = f"_{self._node.name}_mask"
        self._model.register_buffer(name, tensor, persistent=False)
        node = self._model.graph.get_attr(name)
        mode = self._arguments["query"].meta["val"].fake_mode
        node.meta["val"] = mode.from_tensor(tensor)
        return node

    def _call(self, target: Any, *arguments: Any) -> Node:
        node = self._model.graph.call_function(target, arguments)
        node.meta = {key: self._node.meta[key] for key in _KEPT_META if key in self._node.meta}
        node.meta["val"] = target(*[a.meta["val"] if isinstance(a, Node) else a for a in arguments])
        return node
