"""Shared by the examples, the benchmarks and the tests: torchvision without its binary, models, timing, tables."""

import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

warnings.filterwarnings("ignore")

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
    for name in TORCHVISION_OPERATORS:
        try:
            getattr(torch.ops.torchvision, name)
        except AttributeError:
            torch.library.define(f"torchvision::{name}", "(Tensor input) -> Tensor")


def progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<46}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def steps(items: Iterable, description: str, total: int | None = None) -> Iterable:
    """`items`, with a progress bar."""
    with progress() as bar:
        yield from bar.track(items, total=total, description=description)


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
