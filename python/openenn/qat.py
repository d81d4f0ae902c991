"""Quantization-aware training with torchao: batch norms and dropouts keep their settings."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node
from torchao.quantization.pt2e import (
    FusedMovingAvgObsFakeQuantize,
    disable_fake_quant,
    enable_fake_quant,
    move_exported_model_to_eval,
    move_exported_model_to_train,
)

from openenn import _core
from openenn.observers import MseObserver, check_observed, observed_by
from openenn.patches import PatchError

__all__ = ["calibrate"]

_aten = torch.ops.aten
_DROPOUTS = (_aten.dropout.default, _aten.dropout_.default)
# Operators with a mode that torchao leaves in training, and which argument of theirs it is.
_MODES = {
    _aten.feature_dropout.default: 2,
    _aten.feature_dropout_.default: 2,
    _aten.alpha_dropout.default: 2,
    _aten.alpha_dropout_.default: 2,
    _aten.feature_alpha_dropout.default: 2,
    _aten.feature_alpha_dropout_.default: 2,
    _aten.rrelu.default: 3,
    _aten.rrelu_.default: 3,
}


def keep_settings(model: GraphModule) -> None:
    """Makes every rewrite of the graph of `model`, or of a copy, keep the eps, momentum and p that it has now.

    torchao replaces a batch norm and a dropout when it prepares, switches between training and evaluation, and
    converts; the replacements have eps 1e-5, momentum 0.1 and p 0.5 (ao#4484). The settings are put back
    whenever the graph's code is generated, which each of these steps does before it uses them. Dropouts of whole
    channels, alpha dropouts and rrelu, which torchao does not switch, are switched then too.
    """
    codegen = model.graph._codegen
    if isinstance(codegen, _KeepsSettings):
        return
    if not hasattr(codegen, "_gen_python_code"):
        raise PatchError("openenn extends torch.fx.CodeGen._gen_python_code, which the installed torch does not have")
    codegen.__class__ = type(f"Keeps{type(codegen).__name__}", (_KeepsSettings, type(codegen)), {})
    # A batch norm is known by its statistics; dropouts by their order.
    codegen._norms = {key: tuple(norm.args[6:8]) for norm in _norms(model.graph) if (key := _key(norm)) is not None}
    codegen._dropouts = [node.args[1] for node in _dropouts(model.graph)]


def erase_batch_counters(model: GraphModule) -> None:
    """Removes the counting of batches, on which nothing depends once the momentum is a number.

    torchao leaves it in the converted model for all norms but BatchNorm2d.
    """
    counting = model.graph.find_nodes(op="call_function", target=_aten.add_.Tensor)
    for node in reversed(counting):  # a norm that is called twice counts on from its first count
        counter = node.args[0]
        while counter in counting:
            counter = counter.args[0]
        if counter.op == "get_attr" and str(counter.target).endswith("num_batches_tracked") and not node.users:
            model.graph.erase_node(node)
    model.recompile()


def calibrate(prepared: GraphModule, samples: Iterable[tuple[Any, ...]]) -> None:
    """Sets the ranges of a model of prepare_qat_pt2e from `samples`, as post-training quantization does.

    Activations are observed over all samples, weights by their extremes. Nothing is quantized meanwhile,
    and batch norms use and keep their statistics. The model is left in training mode with fake quantization on.
    """
    move_exported_model_to_eval(prepared)
    observers = {quantizer: _observer_for(quantizer) for quantizer in _activation_quantizers(prepared)}

    def observe(quantizer: torch.nn.Module, values: tuple[torch.Tensor, ...]) -> None:
        observers[quantizer](values[0])

    hooks = [quantizer.register_forward_pre_hook(observe) for quantizer in observers]
    prepared.apply(disable_fake_quant)
    with torch.no_grad():
        for sample in samples:
            prepared(*sample)
    prepared.apply(enable_fake_quant)
    for hook in hooks:
        hook.remove()
    check_observed(
        prepared, lambda observer: observers[observer].observed if observer in observers else observed_by(observer)
    )
    for quantizer, observed in observers.items():
        _begin_with(quantizer, observed)
    move_exported_model_to_train(prepared)


def _activation_quantizers(prepared: GraphModule) -> set[FusedMovingAvgObsFakeQuantize]:
    """Those of values that depend on an input; the others are of weights."""
    dependent: set[Node] = set()
    found = set()
    for node in prepared.graph.nodes:
        if node.op != "placeholder" and dependent.isdisjoint(node.all_input_nodes):
            continue
        dependent.add(node)
        module = prepared.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, FusedMovingAvgObsFakeQuantize):
            found.add(module)
    return found


def _observer_for(quantizer: FusedMovingAvgObsFakeQuantize) -> MseObserver:
    observer = quantizer.activation_post_process
    return MseObserver(
        dtype=observer.dtype,
        qscheme=observer.qscheme,
        quant_min=observer.quant_min,
        quant_max=observer.quant_max,
        eps=observer.eps.item(),
    )


def _begin_with(quantizer: FusedMovingAvgObsFakeQuantize, observed: MseObserver) -> None:
    """Training goes on from the observed range, as if it were the average of the extremes until now."""
    if observed.observed is _core.Observed.NOTHING:
        return
    scale, zero_point = observed.calculate_qparams()
    observer = quantizer.activation_post_process
    observer.min_val.copy_(((observed.quant_min - zero_point) * scale).reshape(observer.min_val.shape))
    observer.max_val.copy_(((observed.quant_max - zero_point) * scale).reshape(observer.max_val.shape))
    quantizer.scale.copy_(scale)
    quantizer.zero_point.copy_(zero_point)


class _KeepsSettings:
    """A code generator of a graph, whose graph gets its settings back before code is made of it."""

    _norms: dict[str, tuple[float, float]]  # name of the running mean -> momentum, eps
    _dropouts: list[float]

    def _gen_python_code(self, nodes: Any, *args: Any, **kwargs: Any) -> Any:
        graph = next(iter(nodes)).graph
        self._restore(graph)
        return super()._gen_python_code(nodes, *args, **kwargs)  # type: ignore[misc]

    def _restore(self, graph: Graph) -> None:
        for norm in _norms(graph):
            settings = self._norms.get(_key(norm) or "")
            if settings is None:
                continue
            norm.args = (*norm.args[:6], *settings, *norm.args[8:])
            # The fused form scales the weights with 1 / sqrt(variance + eps) before they are quantized.
            for reader in list(norm.args[4].users):
                if reader.target is _aten.add.Tensor and isinstance(reader.args[1], float):
                    reader.args = (reader.args[0], settings[1])
        trains = getattr(graph.owning_module, "_exported_training", None)
        for node in graph.nodes if trains is not None else ():
            place = _MODES.get(node.target)
            if place is not None and len(node.args) >= place:
                node.args = (*node.args[:place], trains, *node.args[place + 1 :])
        dropouts = _dropouts(graph)
        if len(dropouts) == len(self._dropouts):
            for node, probability in zip(dropouts, self._dropouts, strict=True):
                node.args = (node.args[0], probability, *node.args[2:])


def _norms(graph: Graph) -> list[Node]:
    nodes = graph.find_nodes(op="call_function", target=_aten.batch_norm.default)
    return [node for node in nodes if len(node.args) >= 8]


def _key(norm: Node) -> str | None:
    mean = norm.args[3]
    return str(mean.target) if isinstance(mean, Node) and mean.op == "get_attr" else None


def _dropouts(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.target in _DROPOUTS]
