"""Bias correction in torchao's flow: the core's arithmetic in a module that stands among torchao's observers."""

from operator import attrgetter
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.observer import ObserverBase

from openenn import _core
from openenn.observers import CoreState, note_value, spec_of


class BiasCorrector(CoreState, ObserverBase):
    """The bias of a layer; sees the layer's input on the way, and makes the bias anew when the model is converted."""

    def __init__(self, correction: _core.BiasCorrection, weight: str, weight_observer: ObserverBase) -> None:
        super().__init__(dtype=torch.float32)
        self.correction = correction
        self._weight = weight
        # No submodule: it is one of the model already.
        self._weight_observer = (weight_observer,)

    def forward(self, bias: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """`bias` as it is."""
        self.correction.add(values.detach().contiguous())
        return bias

    def _core_state(self) -> _core.BiasCorrection:
        return self.correction

    def calculate_qparams(self) -> Any:
        """A bias is not quantized."""
        raise NotImplementedError

    def convert(self, model: GraphModule, node: Node) -> None:
        """Called by torchao's convert_pt2e on the node of this module."""
        (observer,) = self._weight_observer
        bias = node.args[0]
        assert isinstance(bias, Node)
        tensor, weight = (attrgetter(name)(model).detach().contiguous() for name in (str(bias.target), self._weight))
        scales, zero_points = observer.calculate_qparams()
        corrected = self.correction.corrected(tensor, weight, spec_of(observer), scales.tolist(), zero_points.tolist())
        name = f"{node.target}_bias"
        model.register_parameter(name, torch.nn.Parameter(torch.tensor(corrected), requires_grad=False))
        with model.graph.inserting_before(node):
            replacement = model.graph.get_attr(name)
        replacement.meta = dict(bias.meta)
        node.replace_all_uses_with(replacement)
        model.graph.erase_node(node)


def insert_correctors(
    model: GraphModule, layers: list[tuple[Node, "_core.BiasCorrection"]], observers: dict[Any, ObserverBase]
) -> None:
    """Puts a corrector before each layer whose weight is observed; `observers` are torchao's, of edges and nodes."""
    for layer, correction in layers:
        values, weight, bias = layer.args[:3]
        assert isinstance(bias, Node)
        observer = observers.get((weight, layer))
        if observer is None or (values, layer) not in observers or (bias, layer) in observers:
            continue
        name = f"bias_corrector_{layer.name}"
        module = BiasCorrector(correction, str(weight.target), observer)
        note_value(module, layer.name)
        model.add_submodule(name, module)
        with model.graph.inserting_before(layer):
            corrector = model.graph.call_module(name, (bias, values))
        corrector.meta = dict(bias.meta)
        layer.replace_input_with(bias, corrector)
