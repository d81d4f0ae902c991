"""Bias correction and learned rounding in torchao's flow: the core's arithmetic in modules among its observers."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.observer import ObserverBase

from openenn import _core
from openenn.observers import CoreState, note_value, spec_of


class _LayerModule(CoreState, ObserverBase):
    """Sees the input of a layer whose weight is observed."""

    def __init__(self, core: Any, weight: str, weight_observer: ObserverBase) -> None:
        super().__init__(dtype=torch.float32)
        self.core = core
        self._weight = weight
        # No submodule: it is one of the model already.
        self._weight_observer = (weight_observer,)

    def forward(self, operand: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """`operand` as it is."""
        self.core.add(values.detach().float().contiguous())
        return operand

    def _core_state(self) -> Any:
        return self.core

    def calculate_qparams(self) -> Any:
        """Nothing is quantized here."""
        raise NotImplementedError

    def _quantization(self) -> tuple[Any, list[float], list[int]]:
        """The spec, scales and zero points of the weight."""
        (observer,) = self._weight_observer
        scales, zero_points = observer.calculate_qparams()
        return spec_of(observer), scales.tolist(), zero_points.tolist()


class WeightRounder(_LayerModule):
    """Makes a layer's weight anew when the model is converted: rounding to nearest finds the learned integers."""

    # torch.fx keeps the call, whose result nobody reads.
    _is_impure = True

    def __init__(self, core: _core.WeightRounding, layer: str, weight: str, weight_observer: ObserverBase) -> None:
        super().__init__(core, weight, weight_observer)
        self.layer = layer

    def convert(self, model: GraphModule, node: Node) -> None:
        """Called by torchao's convert_pt2e on the node of this module."""
        weight = node.args[0]
        assert isinstance(weight, Node)
        tensor = _tensor(model, self._weight)
        rounded = torch.tensor(self.core.rounded(tensor, *self._quantization())).reshape(tensor.shape)
        model.graph.erase_node(node)
        weight.replace_all_uses_with(_parameter(model, weight, rounded_name(str(node.target)), rounded))


class BiasCorrector(_LayerModule):
    """The bias of a layer, made anew when the model is converted."""

    def __init__(self, core: _core.BiasCorrection, weight: str, rounded: str, weight_observer: ObserverBase) -> None:
        super().__init__(core, weight, weight_observer)
        # The name that the weight has when it is quantized.
        self._rounded = rounded

    def convert(self, model: GraphModule, node: Node) -> None:
        """Called by torchao's convert_pt2e on the node of this module."""
        bias = node.args[0]
        assert isinstance(bias, Node)
        rounded = torch.tensor(_core.nearest_weight(_tensor(model, self._rounded), *self._quantization()))
        corrected = self.core.corrected(_tensor(model, str(bias.target)), _tensor(model, self._weight), rounded)
        # Other layers may read the same bias.
        node.replace_all_uses_with(_parameter(model, bias, f"{node.target}_bias", torch.tensor(corrected)))
        model.graph.erase_node(node)


def rounded_name(rounder: str) -> str:
    """The name of the parameter that a rounder of this name makes."""
    return f"{rounder}_weight"


def _tensor(model: GraphModule, name: str) -> torch.Tensor:
    tensor: torch.Tensor = attrgetter(name)(model).detach().contiguous()
    return tensor


def _parameter(model: GraphModule, constant: Node, name: str, tensor: torch.Tensor) -> Node:
    """A new parameter that is read where `constant` is."""
    model.register_parameter(name, torch.nn.Parameter(tensor, requires_grad=False))
    with model.graph.inserting_before(constant):
        parameter = model.graph.get_attr(name)
    parameter.meta = dict(constant.meta)
    return parameter


def _observed_layers(
    layers: list[tuple[Node, Any]], observers: dict[Any, ObserverBase]
) -> Iterator[tuple[Node, Any, Node, ObserverBase]]:
    """Of layers whose input and weight are observed: the layer, what the core has for it, the weight, its observer."""
    for layer, core in layers:
        values, weight = layer.args[:2]
        assert isinstance(weight, Node)
        observer = observers.get((weight, layer))
        if observer is not None and (values, layer) in observers:
            yield layer, core, weight, observer


def insert_rounders(
    model: GraphModule, layers: list[tuple[Node, "_core.WeightRounding"]], observers: dict[Any, ObserverBase]
) -> None:
    """Puts a rounder before each layer whose weight is observed; `observers` are torchao's, of edges and nodes."""
    for layer, rounding, weight, observer in _observed_layers(layers, observers):
        if len(weight.users) > 1:
            continue
        module = WeightRounder(rounding, layer.name, str(weight.target), observer)
        _insert(model, layer, weight, _rounder_name(layer), module)


def _rounder_name(layer: Node) -> str:
    return f"weight_rounder_{layer.name}"


def _insert(model: GraphModule, layer: Node, operand: Node, name: str, module: _LayerModule) -> Node:
    note_value(module, layer.name)
    model.add_submodule(name, module)
    with model.graph.inserting_before(layer):
        node = model.graph.call_module(name, (operand, layer.args[0]))
    node.meta = dict(operand.meta)
    return node


def insert_correctors(
    model: GraphModule, layers: list[tuple[Node, "_core.BiasCorrection"]], observers: dict[Any, ObserverBase]
) -> None:
    """Puts a corrector before each layer whose weight is observed, after its rounder; `observers` as before."""
    for layer, correction, weight, observer in _observed_layers(layers, observers):
        bias = layer.args[2]
        assert isinstance(bias, Node)
        if (bias, layer) in observers:
            continue
        name = _rounder_name(layer)
        rounded = rounded_name(name) if hasattr(model, name) else str(weight.target)
        module = BiasCorrector(correction, str(weight.target), rounded, observer)
        layer.replace_input_with(bias, _insert(model, layer, bias, f"bias_corrector_{layer.name}", module))
