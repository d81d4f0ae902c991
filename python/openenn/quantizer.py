"""EnnQuantizer for torchao's PT2E flow: asks the core what is quantized, and writes it on the FX graph."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, unique
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from openenn import _core, fx, patches
from openenn.batch_norms import fold_batch_norms, give_parameters
from openenn.constants import evaluate_constants
from openenn.correction import insert_correctors, insert_rounders
from openenn.decompositions import decompose
from openenn.guard import insert_guard
from openenn.observers import OBSERVERS, calls_observer, name_values
from openenn.qat import erase_batch_counters, keep_settings
from openenn.regions import inline_regions
from openenn.report import Report

_logger = logging.getLogger("openenn")

_ANNOTATION = "quantization_annotation"

patches.wrap_torchao()


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
        self._corrected: list[tuple[Node, _core.BiasCorrection]] = []
        self._rounded: list[tuple[Node, _core.WeightRounding]] = []
        self.custom_quant_annotations: Sequence[Callable[[GraphModule], None]] = []

    def set_observer(self, observer: str) -> None:
        """How the ranges of all activations are found: minmax, moving_average, histogram, percentile, mse or kl."""
        self._core.set_observer(observer)

    def set_observer_for_operator(self, operator: str, observer: str) -> None:
        """The same for the results of one operator, such as "convolution" or "aten.conv2d.default"."""
        self._core.set_observer_for_operator(operator, observer)

    def set_observer_for_node(self, pattern: str, observer: str) -> None:
        """The same for nodes of these names; '*' and '?' stand for any text and any character, "re:" begins a regex."""
        self._core.set_observer_for_node(pattern, observer)

    def set_observer_for_module(self, pattern: str, observer: str) -> None:
        """The same for modules of the eager model: by path ("features.0.conv") or class ("torch.nn.Linear")."""
        self._core.set_observer_for_module(pattern, observer)

    def set_bias_correction(self, enabled: bool) -> None:
        """Whether biases take back what rounding the weights does to the means of a layer's results; they do."""
        self._core.set_bias_correction(enabled)

    def set_weight_rounding(self, rounding: str) -> None:
        """How weights are rounded: "nearest", or "learned" from the calibration data; nearest unless set."""
        self._core.set_weight_rounding(rounding)

    def set_repair(self, enabled: bool) -> None:
        """Whether openenn.quantize() first equalizes channels, learns the rounding of weights and searches ranges.

        The page repair.md says what these do. prepare_pt2e, which sees one sample after the other, refuses it.
        """
        self._core.set_repair(enabled)

    def set_guard(self, least_sqnr: float | None) -> None:
        """Below which signal over noise, in dB, 8 bits destroy a layer, which then stays in float; None is off."""
        self._core.set_guard(least_sqnr)

    @property
    def guard(self) -> float | None:
        """What set_guard() set; None also in upstream's placement and in quantization-aware training."""
        return self._core.guard

    def exclude_node(self, pattern: str) -> None:
        """Leaves nodes of these names in float."""
        self._core.exclude_node(pattern)

    def exclude_module(self, pattern: str) -> None:
        """Leaves modules of the eager model in float: by path ("features.0.conv") or class ("torch.nn.Linear").

        "features.0:convolution" is an operator in a module.
        """
        self._core.exclude_module(pattern)

    def exclude_operator(self, operator: str) -> None:
        """Leaves an operator in float."""
        self._core.exclude_operator(operator)

    def to_json(self) -> str:
        """The whole configuration, a recipe; equal configurations are equal text."""
        return self._core.to_json()

    @classmethod
    def from_json(cls, text: str) -> "EnnQuantizer":
        """The quantizer of a recipe: what to_json() gave in either door, or what the page recipes.md describes."""
        core = _core.EnnQuantizer.from_json(text)
        settings = json.loads(core.to_json())
        quantizer = cls(settings["compatibility"])
        quantizer.set_quant_params(settings["precision"], settings["is_per_channel"], settings["is_qat"])
        quantizer._core = core
        return quantizer

    @classmethod
    def load_recipe(cls, path: str | os.PathLike[str]) -> "EnnQuantizer":
        """The same from a file."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (UnicodeDecodeError, _core.InvalidArgumentError) as error:
            raise _core.InvalidArgumentError(f"{path}: {error}") from error

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
            inlined = inline_regions(model, self._is_qat)
            if self._is_qat:
                give_parameters(model)
            elif inlined | evaluate_constants(model):
                fold_batch_norms(model)  # layers that were not there when prepare_pt2e folded
            decompose(model)
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        """Writes the annotations on the nodes of `model`; nodes that are annotated already keep theirs."""
        for node in model.graph.nodes:
            if calls_observer(model, node):
                raise _core.InvalidArgumentError(f"node '{node.name}' is an observer: the model is prepared already")
        if self._is_qat:
            keep_settings(model)
            erase_batch_counters(model)
        imported = fx.import_module(model, self._interpret)
        inputs, nodes, corrections, roundings = self._core.annotate(imported.graph)
        for name in self._core.absent_operators(imported.graph):
            _logger.warning("a setting of the quantizer names the operator '%s', which the model does not have", name)
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
        own = {number: node for number, node in imported.nodes.items() if number not in kept}
        self._corrected = [(own[item.node], item) for item in corrections if item.node in own]
        self._rounded = [(own[item.node], item) for item in roundings if item.node in own]
        self._report = Report("Quantization", self._core.explain(imported.graph, kept))
        return model

    def prepare_obs_or_fq_callback(self, model: GraphModule, edge_or_node_to_obs_or_fq: dict[Any, Any]) -> None:
        """Called by prepare_pt2e with the observers it is about to insert."""
        name_values(edge_or_node_to_obs_or_fq)
        insert_rounders(model, self._rounded, edge_or_node_to_obs_or_fq)
        insert_correctors(model, self._corrected, edge_or_node_to_obs_or_fq)
        if self._interpret and not self._is_qat:
            insert_guard(model, self)

    def _note_guarded(self, guarded: "_core.Guarded", graph: "_core.Graph") -> None:
        """Called by convert_pt2e with what the guard left in float; explain() says so from then on."""
        if self._report is not None:
            self._report = Report("Quantization", guarded.explain(graph, self._report.rows))

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


# Specs are compared by value, but an observer's constructor by identity: equal specs are one object.
@cache
def _observed(spec: "_core.QuantizationSpec") -> QuantizationSpec:
    observer, arguments = OBSERVERS[spec.observer]
    return QuantizationSpec(
        dtype=getattr(torch, spec.dtype),
        quant_min=spec.quant_min,
        quant_max=spec.quant_max,
        qscheme=getattr(torch, spec.qscheme),
        ch_axis=spec.ch_axis if spec.ch_axis >= 0 else None,
        observer_or_fake_quant_ctr=observer.with_args(eps=spec.eps, **arguments),
    )
