"""EnnQuantizer for torchao's PT2E flow: asks the core what is quantized, and writes it on the FX graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, unique
from functools import cache
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FusedMovingAvgObsFakeQuantize,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from openenn import _core, fx
from openenn.attention import decompose_attention
from openenn.qat import erase_batch_counters, keep_settings
from openenn.report import Report

_ANNOTATION = "quantization_annotation"


@unique
class Precision(IntEnum):
    """Precisions of activations and weights, numbered as upstream numbers them."""

    A8W8 = 3


@unique
class Compatibility(Enum):
    """Where quantization is placed: where it serves accuracy best, or exactly as upstream's quantizer places it."""

    DEFAULT = "DEFAULT"
    UPSTREAM = "UPSTREAM"


@dataclass(eq=True, frozen=True)
class QuantizationConfig:
    """The specs that EnnQuantizer gives."""

    input_activation: QuantizationSpec | None
    output_activation: QuantizationSpec | None
    weight: QuantizationSpec | None
    bias: QuantizationSpec | Callable | None


def get_quant_config(
    precision: Precision | str | int, is_per_channel: bool = False, is_qat: bool = False
) -> QuantizationConfig:
    """torchao's specs for `precision`."""
    activation, weight = _core.quantization_config(_precision_name(precision), is_per_channel, is_qat)
    activation_spec = _observed(activation)
    return QuantizationConfig(activation_spec, activation_spec, _observed(weight), None)


class EnnQuantizer(Quantizer):
    """Annotates a model for the Exynos (ENN) backend: A8W8, per channel and post-training unless set otherwise."""

    def __init__(self, compatibility: Compatibility | str = Compatibility.DEFAULT) -> None:
        super().__init__()
        name = compatibility.value if isinstance(compatibility, Compatibility) else str(compatibility)
        self._core = _core.EnnQuantizer(name)
        self._interpret = name.upper() != Compatibility.UPSTREAM.value
        self._precision: str = Precision.A8W8.name
        self._is_per_channel = True
        self._is_qat = False
        self._report: Report | None = None
        self.custom_quant_annotations: Sequence[Callable[[GraphModule], None]] = []

    def set_quant_params(
        self, precision: Precision | str | int, is_per_channel: bool = True, is_qat: bool = False
    ) -> None:
        """Sets the precision, per-channel or per-tensor weights, and quantization-aware training."""
        name = _precision_name(precision)
        self._core.set_quant_params(name, is_per_channel, is_qat)
        self._precision, self._is_per_channel, self._is_qat = name, is_per_channel, is_qat

    def setup_quant_params(
        self, quant_dtype: Precision | str | int, is_per_channel: bool = True, is_qat: bool = False
    ) -> None:
        """Upstream's name of set_quant_params."""
        self.set_quant_params(quant_dtype, is_per_channel, is_qat)

    def setup_precision(self, quant_dtype: Precision | str | int) -> None:
        """Sets the precision alone."""
        self.set_quant_params(quant_dtype, self._is_per_channel, self._is_qat)

    def add_custom_quant_annotations(self, custom_quant_annotations: Sequence[Callable[[GraphModule], None]]) -> None:
        """Functions that annotate the model after this quantizer did; what they write wins."""
        self.custom_quant_annotations = custom_quant_annotations

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Makes of composite operators those that are quantized; called by prepare_pt2e."""
        if self._interpret:
            decompose_attention(model)
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        """Writes the annotations on the nodes of `model`; nodes that are annotated already keep theirs."""
        if self._is_qat:
            keep_settings(model)
            erase_batch_counters(model)
        imported = fx.import_module(model, self._interpret)
        inputs, nodes = self._core.annotate(imported.graph)
        written = {}
        for value, spec in inputs:
            node = imported.values[value]
            written[node] = _write(node, {}, _spec(imported, spec))
        for number, operands, result in nodes:
            node = imported.nodes[number]
            operand_specs = {imported.values[value]: _spec(imported, spec) for value, spec in operands}
            written[node] = _write(node, operand_specs, _spec(imported, result))
        for annotate in self.custom_quant_annotations:
            annotate(model)
        kept = [
            number
            for number, node in imported.nodes.items()
            if _ANNOTATION in node.meta and node.meta[_ANNOTATION] is not written.get(node)
        ]
        self._report = Report("Quantization", self._core.explain(imported.graph, kept))
        return model

    def explain(self) -> Report:
        """For each input, constant and node of the model annotated last: how it is quantized, or why it is not."""
        if self._report is None:
            raise _core.EnnError("explain() tells about the model that was annotated last; none was")
        return self._report

    def validate(self, model: GraphModule) -> None:
        """Every annotation is one the backend takes or leaves to others; nothing to refuse here."""


def _precision_name(precision: Precision | str | int) -> str:
    """The name to ask the core about; the core refuses one that it does not know."""
    if isinstance(precision, str):
        return precision
    return {member.value: member.name for member in Precision}.get(precision, str(precision))


def _write(
    node: Node, operands: dict[Node, QuantizationSpecBase], result: QuantizationSpecBase | None
) -> QuantizationAnnotation | None:
    """The annotation written; None where the node keeps one that it had."""
    present = node.meta.get(_ANNOTATION)
    if present is not None and present._annotated:
        return None
    annotation = QuantizationAnnotation(input_qspec_map=operands, output_qspec=result, _annotated=True)
    node.meta[_ANNOTATION] = annotation
    return annotation


def _spec(imported: fx.ImportedGraph, spec: Any) -> QuantizationSpecBase | None:
    if spec is None:
        return None
    if isinstance(spec, _core.SharedSpec):
        value = imported.values[spec.value]
        return SharedQuantizationSpec(value if spec.consumer is None else (value, imported.nodes[spec.consumer]))
    if isinstance(spec, _core.FixedQParamsSpec):
        return FixedQParamsQuantizationSpec(
            dtype=getattr(torch, spec.dtype),
            scale=spec.scale,
            zero_point=spec.zero_point,
            quant_min=spec.quant_min,
            quant_max=spec.quant_max,
            qscheme=torch.per_tensor_affine,
        )
    return _observed(spec)


# What torchao calls the core's observers; eps is passed to each.
_OBSERVERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "MinMax": (MinMaxObserver, {}),
    "Histogram": (HistogramObserver, {}),
    "PerChannelMinMax": (PerChannelMinMaxObserver, {}),
    "FusedMovingAvgFakeQuantize": (FusedMovingAvgObsFakeQuantize, {"observer": MovingAverageMinMaxObserver}),
    "FusedMovingAvgPerChannelFakeQuantize": (
        FusedMovingAvgObsFakeQuantize,
        {"observer": MovingAveragePerChannelMinMaxObserver},
    ),
}


# Specs are compared by value, but an observer's constructor by identity: equal specs are one object.
@cache
def _observed(spec: "_core.QuantizationSpec") -> QuantizationSpec:
    observer, arguments = _OBSERVERS[spec.observer]
    return QuantizationSpec(
        dtype=getattr(torch, spec.dtype),
        quant_min=spec.quant_min,
        quant_max=spec.quant_max,
        qscheme=getattr(torch, spec.qscheme),
        ch_axis=spec.ch_axis if spec.ch_axis >= 0 else None,
        observer_or_fake_quant_ctr=observer.with_args(eps=spec.eps, **arguments),
    )
