"""What the benchmarks share: the examples' helpers, figures, tables, JSON with the machine they were taken on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

import torch
from rich.table import Table

import common
import models  # noqa: F401 - the benchmarks take it from here
import photographs  # noqa: F401


def sqnr(signal: torch.Tensor, noisy: torch.Tensor) -> float:
    """Signal-to-quantization-noise ratio in decibels."""
    noise = (signal - noisy).square().sum()
    return float(10 * torch.log10(signal.square().sum() / noise)) if noise > 0 else float("inf")


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    common.console.print(table)


def machine() -> dict[str, Any]:
    from openenn import _core

    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown",
    )
    commit = subprocess.run(
        ["git", "-C", str(common.ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {"cpu": cpu, "isas": _core.supported_isas(), "commit": commit, "torch": torch.__version__}


def save(path: str | None, results: dict[str, Any]) -> None:
    if path:
        Path(path).write_text(json.dumps({"machine": machine()} | results, indent=2) + "\n")


def quantize_for_xnnpack(
    model: torch.nn.Module,
    samples: list[torch.Tensor],
    inputs: tuple[torch.Tensor, ...],
    dynamic_shapes: Any = None,
) -> torch.fx.GraphModule:
    """Steps 1 to 5 with ExecuTorch's XNNPACK quantizer, symmetric and per channel."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    return common.quantize(model, samples, inputs, quantizer, dynamic_shapes=dynamic_shapes)


def xnnpack_program(
    quantized: torch.fx.GraphModule, inputs: tuple[torch.Tensor, ...], dynamic_shapes: Any = None
) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    lowered = common.lower(quantized, inputs, XnnpackPartitioner(), dynamic_shapes=dynamic_shapes)
    return lowered.to_executorch().buffer
