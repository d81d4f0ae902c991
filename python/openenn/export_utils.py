"""Upstream's helpers for whole flows: quantize a module, lower a module."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from executorch.backends.transforms.decompose_sdpa import DecomposeScaledDotProductAttention
from executorch.exir import EdgeCompileConfig, EdgeProgramManager, to_edge_transform_and_lower
from executorch.exir.backend.backend_details import CompileSpec
from executorch.exir.dialects._ops import ops as exir_ops
from torchao.quantization.pt2e import move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e

from openenn.partitioner import EnnPartitioner
from openenn.quantizer import EnnQuantizer, Precision


def get_edge_compile_config() -> EdgeCompileConfig:
    """Upstream's edge configuration: without dim-order operators, with the operators that backends keep whole."""
    aten = exir_ops.edge.aten
    return EdgeCompileConfig(
        _skip_dim_order=True,
        _core_aten_ops_exception_list=[
            aten.max_pool2d.default,
            aten.linear.default,
            aten.hardswish.default,
            aten.prelu.default,
            aten.pixel_shuffle.default,
            aten._safe_softmax.default,
            aten.layer_norm.default,
            aten.matmul.default,
            aten.hardsigmoid.default,
        ],
    )


def quantize_module(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    calibration_dataset: Iterable[tuple[Any, ...]],
    precision: Precision | str,
    is_per_channel: bool = True,
    is_qat: bool = False,
) -> torch.nn.Module:
    """The quantized form of `module`; with is_qat the samples set the ranges, and no weight is trained."""
    quantizer = EnnQuantizer()
    quantizer.set_quant_params(precision, is_per_channel, is_qat)
    if is_qat:
        module = copy.deepcopy(module).train()
    exported = torch.export.export(module, inputs).module()
    DecomposeScaledDotProductAttention()(exported)
    prepared = prepare_qat_pt2e(exported, quantizer) if is_qat else prepare_pt2e(exported, quantizer)
    for sample in calibration_dataset:
        prepared(*sample)
    if is_qat:
        move_exported_model_to_eval(prepared)
    return convert_pt2e(prepared, fold_quantize=False)


def to_edge_transform_and_lower_to_enn(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    custom_pass_config: Sequence[Any] | None = None,
    compile_specs: Sequence[CompileSpec] | None = None,
) -> EdgeProgramManager:
    """The edge program of `module`, lowered."""
    return to_edge_transform_and_lower(
        torch.export.export(module, inputs),
        transform_passes=custom_pass_config,
        partitioner={"forward": [EnnPartitioner(compile_specs)]},
        compile_config=get_edge_compile_config(),
    )
