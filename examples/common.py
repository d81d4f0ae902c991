"""Shared by the examples, the benchmarks and the tests."""

import contextlib
import importlib.util
import logging
import socket
import time
import urllib.error
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# What torch, torchao and ExecuTorch say about themselves.
warnings.filterwarnings("ignore")
for name in ("torch", "torchao"):
    logging.getLogger(name).setLevel(logging.ERROR)

ROOT = Path(__file__).resolve().parent.parent
DEMO_FOLDER = ROOT / "build" / "demo"
console = Console()

# Operators that torchvision's binary defines. A torchvision whose binary was built for another torch imports
# once they exist; none of them is called by a classification network.
TORCHVISION_OPERATORS = [
    "nms",
    "qnms",
    "box_iou_rotated",
    "roi_align",
    "qroi_align",
    "roi_pool",
    "ps_roi_align",
    "ps_roi_pool",
    "deform_conv2d",
    "_roi_align_backward",
    "_roi_pool_backward",
    "_ps_roi_align_backward",
    "_ps_roi_pool_backward",
    "_deform_conv2d_backward",
]


def make_torchvision_importable() -> None:
    """Defines the operators that torchvision registers rules for, where its binary does not do so."""
    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder).glob("_C*.so"):
            with contextlib.suppress(OSError):  # it was built for another torch
                torch.ops.load_library(binary)
    for name in TORCHVISION_OPERATORS:
        try:
            getattr(torch.ops.torchvision, name)
        except AttributeError:
            torch.library.define(f"torchvision::{name}", "(Tensor input) -> Tensor")


def weights_or_none(weights: Any) -> Any:
    """`weights` of torchvision when they can be had; None, and a line that says so, when they cannot."""
    socket.setdefaulttimeout(20)
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except (urllib.error.URLError, OSError) as e:
        console.print(f"[yellow]The weights {weights} cannot be downloaded ({e}); going on with random ones.[/yellow]")
        return None
    return weights


def quantize(
    model: torch.nn.Module,
    samples: Iterable[torch.Tensor | tuple[torch.Tensor, ...]],
    inputs: tuple[torch.Tensor, ...],
    quantizer: Any = None,
    is_per_channel: bool = True,
    fold_quantize: bool = True,
    dynamic_shapes: Any = None,
) -> torch.fx.GraphModule:
    """Steps 1 to 5 of the documented flow."""
    from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    if quantizer is None:
        quantizer = EnnQuantizer()
        quantizer.set_quant_params("A8W8", is_per_channel, False)
    exported = torch.export.export(model, inputs, dynamic_shapes=dynamic_shapes)
    prepared = prepare_pt2e(exported.module(), quantizer)
    with torch.no_grad():
        for sample in samples:
            prepared(*(sample if isinstance(sample, tuple) else (sample,)))
    return convert_pt2e(prepared, fold_quantize=fold_quantize)


def lower(
    quantized: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    partitioner: Any = None,
    config: Any = None,
    dynamic_shapes: Any = None,
):
    """Step 6 up to the edge program; .to_executorch() of the result ends it."""
    from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(
        torch.export.export(quantized, inputs, dynamic_shapes=dynamic_shapes),
        partitioner=[EnnPartitioner() if partitioner is None else partitioner],
        compile_config=config,
    )


class Pte:
    """A .pte in ExecuTorch's runtime. Loaded with the thread pool as it is at that moment."""

    def __init__(self, program: bytes | Path) -> None:
        from executorch.runtime import Runtime

        self._bytes = program  # the runtime reads them in place
        self._program = Runtime.get().load_program(program)
        self._method = self._program.load_method("forward")

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The first output, as a copy."""
        return self.outputs(*inputs)[0]

    def outputs(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """All outputs, as copies."""
        return [
            output.clone() if isinstance(output, torch.Tensor) else output for output in self._method.execute(inputs)
        ]


def set_threads(threads: int) -> None:
    """The number of threads of torch and of ExecuTorch's pool. No loaded program may be in use."""
    from executorch.extension.pybindings import portable_lib

    torch.set_num_threads(threads)
    portable_lib._unsafe_reset_threadpool(threads)


def output_scale(quantized: torch.fx.GraphModule) -> float:
    """The quantization step of the result: the scale of the dequantize before it."""
    last = quantized.graph.output_node().all_input_nodes[0]
    return float(last.args[1])


def progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<40}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def steps(items: Iterable, description: str, total: int | None = None) -> Iterable:
    """`items`, with a progress bar on a terminal and about ten plain lines elsewhere.

    `total` is their number where they have no length.
    """
    if total is None:
        total = len(items)  # type: ignore[arg-type]
    if console.is_terminal:
        with progress() as bar:
            yield from bar.track(items, description=description, total=total)
        return
    start = time.perf_counter()
    for done, item in enumerate(items, 1):
        yield item
        if done == total or done * 10 // total > (done - 1) * 10 // total:
            seconds = time.perf_counter() - start
            left = "" if done == total else f", about {seconds / done * (total - done):.0f} s left"
            print(f"{description} {done}/{total}, {seconds:.1f} s{left}", flush=True)


def best_milliseconds(functions: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Best time of each function over interleaved rounds, so that a busy moment hits all alike."""
    best = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], (time.perf_counter() - start) * 1e3)
    return best


def size_text(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
