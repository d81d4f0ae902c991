"""Milliseconds per image: float and quantized_model in eager PyTorch, XNNPACK's int8 delegate, the .pte."""

import argparse
from functools import partial

import torch

from report import common, machine, models, print_table, quantize_for_xnnpack, save, xnnpack_program


def measure(name: str, threads: list[int], rounds: int) -> dict[str, dict[str, float]]:
    """Best of interleaved rounds for each number of threads."""
    model = models.build(name)
    image = torch.randn(1, 3, 224, 224)
    inputs = (image,)
    quantized = common.quantize(model, [image], inputs)
    ours = common.lower(quantized, inputs).to_executorch().buffer
    theirs = xnnpack_program(quantize_for_xnnpack(model, [image], inputs), inputs)
    results = {}
    for count in threads:
        common.set_threads(count)
        pte, xnnpack = common.Pte(ours), common.Pte(theirs)
        with torch.no_grad():
            results[str(count)] = common.best_milliseconds(
                {
                    "float eager": lambda: model(image),
                    "quantized_model eager": lambda: quantized(image),
                    "XNNPACK": partial(xnnpack, image),
                    ".pte": partial(pte, image),
                },
                rounds,
            )
        del pte, xnnpack
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(models.MODELS), choices=list(models.MODELS))
    arguments = parser.parse_args()

    results = {
        name: measure(name, arguments.threads, arguments.rounds) for name in common.steps(arguments.models, "measuring")
    }
    rows = []
    for name, by_threads in results.items():
        for threads, times in by_threads.items():
            ours = times[".pte"]
            rows.append(
                [
                    name,
                    threads,
                    *(f"{time:.1f}" for time in times.values()),
                    f"{times['quantized_model eager'] / ours:.1f}x",
                    f"{times['XNNPACK'] / ours:.2f}x",
                ]
            )
    info = machine()
    print_table(
        f"Milliseconds per 224 x 224 image, {info['cpu']}, best ISA {info['isas'][-1]}",
        [
            "model",
            "threads",
            "float",
            "quantized_model",
            "XNNPACK",
            ".pte",
            "faster than quantized_model",
            "than XNNPACK",
        ],
        rows,
    )
    save(arguments.json, {"milliseconds": results})


if __name__ == "__main__":
    main()
