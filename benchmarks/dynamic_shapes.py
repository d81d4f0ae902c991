"""Batches of any size: milliseconds per batch of one .pte for all sizes beside one for a single size and XNNPACK's."""

import argparse
import time
from functools import partial

import torch

from report import common, machine, models, print_table, quantize_for_xnnpack, save, xnnpack_program

LARGEST = 8
SHAPES = ({0: torch.export.Dim("batch", min=1, max=LARGEST)},)


def first_milliseconds(program: common.Pte, rounds: int) -> float:
    """Best time of a batch of two when its program is no longer kept: others have run since."""
    best = float("inf")
    for _ in range(rounds):
        for batch in (4, 5, 6, 7):
            program(torch.randn(batch, 3, 224, 224))
        images = torch.randn(2, 3, 224, 224)
        start = time.perf_counter()
        program(images)
        best = min(best, (time.perf_counter() - start) * 1e3)
    return best


def measure(name: str, threads: int, rounds: int) -> dict[str, float]:
    """Best of interleaved rounds, of batches of two images."""
    model = models.build(name)
    images = torch.randn(2, 3, 224, 224)
    inputs = (images,)
    quantized = common.quantize(model, [images], inputs, dynamic_shapes=SHAPES)
    any_size = common.lower(quantized, inputs, dynamic_shapes=SHAPES).to_executorch().buffer
    one_size = common.lower(quantized, inputs).to_executorch().buffer
    xnnpack = xnnpack_program(quantize_for_xnnpack(model, [images], inputs, SHAPES), inputs, SHAPES)
    common.set_threads(threads)
    program = common.Pte(any_size)
    first = first_milliseconds(program, 3)
    times = common.best_milliseconds(
        {
            "XNNPACK": partial(common.Pte(xnnpack), images),
            "one size": partial(common.Pte(one_size), images),
            "any size": partial(program, images),
        },
        rounds,
    )
    return times | {"first": first}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["MobileNetV2", "ResNet50"], choices=list(models.MODELS))
    arguments = parser.parse_args()

    results = {
        name: measure(name, arguments.threads, arguments.rounds) for name in common.steps(arguments.models, "measuring")
    }
    info = machine()
    print_table(
        f"Milliseconds per 2 images, {arguments.threads} threads, {info['cpu']}, best ISA {info['isas'][-1]}",
        ["model", "XNNPACK, any size", ".pte, one size", ".pte, any size", "first batch of a size", "than XNNPACK"],
        [
            [name, *(f"{value:.1f}" for value in times.values()), f"{times['XNNPACK'] / times['any size']:.2f}x"]
            for name, times in results.items()
        ],
    )
    save(arguments.json, {"milliseconds": results})


if __name__ == "__main__":
    main()
