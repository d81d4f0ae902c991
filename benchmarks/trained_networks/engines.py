"""What a network is quantized with: each engine turns it into one or two callables with the module's signature."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner

import openenn
from all_models import quantize_as_upstream
from operators import calls_of
from report import common, quantize_for_xnnpack
from trained_networks.macs import share_in_float
from trained_networks.network import Function, TrainedNetwork, need_module


@dataclass
class Quantized:
    """A quantized network: callables by column, and figures of theirs that are no metric."""

    functions: dict[str, Function]
    figures: dict[str, Any]


def _function_of(edge: Any) -> Function:
    """A lowered model as a `.pte` in ExecuTorch's runtime, called like the module."""
    pte = common.Pte(edge.to_executorch().buffer)

    def run(*values: torch.Tensor) -> Any:
        outputs = pte.outputs(*values)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    return run


def _openenn(network: TrainedNetwork) -> Quantized:
    inputs = network.calibration[0]
    quantized = common.quantize(network.model, network.calibration, inputs)
    partitioner = EnnPartitioner()
    edge = common.lower(quantized, inputs, partitioner)
    calls, outside = calls_of(edge)
    run = _function_of(edge)
    figures = {
        "MACs in float": share_in_float(quantized, inputs),
        "delegate calls": calls,
        "outside": outside,
        "reasons": sorted(set(partitioner.reasons.values())),
    }
    return Quantized({"Q/DQ": quantized, ".pte": run}, figures)


def _openenn_max_drop(network: TrainedNetwork) -> Quantized:
    """The search for the fewest layers in float: each of the task's metrics drops by 1 % of the float one at most.

    SQNR, which is infinite in float, is none of them.
    """
    inputs = network.calibration[0]
    floats = {name: value for name, value in network.evaluate(network.model).items() if 0 < value < math.inf}

    def worst_share(function: Function) -> float:
        metrics = network.evaluate(function)
        return min(metrics[name] / value for name, value in floats.items())

    start = time.perf_counter()
    found = openenn.quantize(network.model, network.calibration, worst_share, max_drop=0.01)
    run = _function_of(common.lower(found.module, inputs))
    figures = {
        "MACs in float": found.macs_in_float / found.macs,
        "evaluations": found.evaluations,
        "seconds": time.perf_counter() - start,
        "decisions": [decision["what"] for decision in found.decisions],
    }
    return Quantized({"max_drop": run}, figures)


def _openenn_repair(network: TrainedNetwork) -> Quantized:
    """The whole model in 8 bits, with the repairs of openenn.quantize()."""
    start = time.perf_counter()
    found = openenn.quantize(network.model, network.calibration, repair=True)
    seconds = time.perf_counter() - start
    run = _function_of(common.lower(found.module, network.calibration[0]))
    return Quantized({"repair": run}, {"seconds": seconds})


def _converted(name: str, quantize: Callable[..., torch.fx.GraphModule]) -> Callable[[TrainedNetwork], Quantized]:
    """An engine whose result is a Q/DQ module of torchao's."""

    def engine(network: TrainedNetwork) -> Quantized:
        inputs = network.calibration[0]
        quantized = quantize(network.model, network.calibration, inputs)
        return Quantized({name: quantized}, {"MACs in float": share_in_float(quantized, inputs)})

    return engine


def _quantize_for_x86(model: torch.nn.Module, samples: list, inputs: tuple[torch.Tensor, ...]) -> torch.fx.GraphModule:
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    return common.quantize(model, samples, inputs, quantizer)


def _nncf(network: TrainedNetwork) -> Quantized:
    """NNCF's default for the network in OpenVINO, executed by OpenVINO with float32 for what is not quantized."""
    for package in ("openvino", "nncf"):
        need_module(package)
    import nncf
    import openvino

    inputs = network.calibration[0]
    model = openvino.convert_model(torch.export.export(network.model, inputs))
    data = nncf.Dataset(network.calibration, lambda sample: [value.numpy() for value in sample])
    quantized = nncf.quantize(model, data, subset_size=len(network.calibration))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(quantized, "CPU", settings)

    def run(*values: torch.Tensor) -> Any:
        results = compiled([value.numpy() for value in values])
        outputs = [torch.from_numpy(results[i].copy()) for i in range(len(compiled.outputs))]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    return Quantized({"NNCF": run}, {})


@dataclass
class Engine:
    """A way to quantize, and the columns of the table that its callables fill."""

    quantize: Callable[[TrainedNetwork], Quantized]
    columns: list[str]
    by_default: bool = True


ENGINES = {
    "openenn": Engine(_openenn, ["Q/DQ", ".pte"]),
    "openenn_repair": Engine(_openenn_repair, ["repair"], by_default=False),
    "openenn_max_drop": Engine(_openenn_max_drop, ["max_drop"], by_default=False),
    "xnnpack": Engine(_converted("XNNPACK", quantize_for_xnnpack), ["XNNPACK"]),
    "upstream": Engine(_converted("upstream", quantize_as_upstream), ["upstream"]),
    "x86": Engine(_converted("x86", _quantize_for_x86), ["x86"]),
    "nncf": Engine(_nncf, ["NNCF"]),
}

COLUMNS = ["float", *(column for engine in ENGINES.values() for column in engine.columns)]
