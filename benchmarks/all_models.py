"""Many networks through the six steps: what the engine takes of them, and how close the .pte comes to them.

The JSON that it writes is rendered into README.md by scripts/generate_tables.py.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer

from networks import NETWORKS, Network, seeded
from operators import calls_of
from report import common, machine, print_table, quantize_for_xnnpack, sqnr

TEST_SEED = 1  # of the inputs that are compared


def lower(network: Network, size: int, calibration: int = 4, seed: int = 0) -> dict[str, Any]:
    """The stages of a network that the figures come from, with the seed of the inputs that calibrate it."""
    model = seeded(network, size)
    samples = list(network.samples(size, calibration, seed))
    quantized = common.quantize(model, samples, samples[0])
    partitioner = EnnPartitioner()
    edge = common.lower(quantized, samples[0], partitioner)
    delegate_calls, outside = calls_of(edge)
    return {
        "model": model,
        "samples": samples,
        "quantized": quantized,
        "buffer": edge.to_executorch().buffer,
        "delegate_calls": delegate_calls,
        "outside": outside,
        "reasons": dict(partitioner.reasons),
    }


def outputs(function: Any, tests: list[tuple[torch.Tensor, ...]]) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([function(*test) for test in tests])


def quantize_as_upstream(model: torch.nn.Module, samples: list[Any], inputs: tuple[torch.Tensor, ...]) -> Any:
    quantizer = EnnQuantizer("upstream")
    quantizer.set_quant_params("A8W8", is_per_channel=True, is_qat=False)
    return common.quantize(model, samples, inputs, quantizer)


PEERS = {"upstream": quantize_as_upstream, "xnnpack": quantize_for_xnnpack}


def peer_sqnr(
    name: str, stages: dict[str, Any], exact: torch.Tensor, tests: list[tuple[torch.Tensor, ...]]
) -> float | None:
    """Of the model as another placement quantizes it; None where that one fails."""
    samples = stages["samples"]
    try:
        return sqnr(exact, outputs(PEERS[name](stages["model"], samples, samples[0]), tests))
    except Exception as e:
        common.console.print(f"{name}: {type(e).__name__}: {str(e)[:200]}")
        return None


def measure(network: Network, size: int, images: int, seed: int = 0) -> dict[str, Any]:
    start = time.perf_counter()
    stages = lower(network, size, seed=seed)
    tests = list(network.samples(size, images, TEST_SEED))
    exact = outputs(stages["model"], tests)
    eager = outputs(stages["quantized"], tests)
    actual = outputs(common.Pte(stages["buffer"]), tests)
    peers = {name: peer_sqnr(name, stages, exact, tests) for name in PEERS}
    agreement = None
    if network.classes is not None:
        same = actual.argmax(network.classes + 1) == eager.argmax(network.classes + 1)
        agreement = float(same.float().mean())
    return {
        "size": size,
        "weights": network.weights,
        "inputs": images,
        "delegate_calls": stages["delegate_calls"],
        "outside": stages["outside"],
        "reasons": stages["reasons"],
        "cosine": float(torch.nn.functional.cosine_similarity(actual.flatten().double(), eager.flatten().double(), 0)),
        "top1": agreement,
        "pte_vs_float": sqnr(exact, actual),
        "quantized_vs_float": sqnr(exact, eager),
        "pte_vs_quantized": sqnr(eager, actual),
        **{f"{name}_quantized_vs_float": value for name, value in peers.items()},
        "megabytes": len(stages["buffer"]) / 1e6,
        "seconds": time.perf_counter() - start,
    }


def rounded(result: dict[str, Any]) -> dict[str, Any]:
    digits = {"cosine": 6, "top1": 4, "seconds": 0, "megabytes": 1}
    return {
        name: round(value, digits.get(name, 1))
        if isinstance(value, float) and value != float("inf")
        else ("exact" if value == float("inf") else value)
        for name, value in result.items()
    }


def text(value: Any, form: str = "{:.1f}") -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else form.format(value)


def row(name: str, result: dict[str, Any]) -> list[str]:
    return [
        name,
        str(result["size"]),
        str(result["delegate_calls"]),
        str(result["outside"]),
        text(result["cosine"], "{:.5f}"),
        text(result["top1"], "{:.1%}"),
        text(result["pte_vs_float"]),
        text(result["quantized_vs_float"]),
        text(result["upstream_quantized_vs_float"]),
        text(result["xnnpack_quantized_vs_float"]),
    ]


COLUMNS = [
    "model",
    "size",
    "delegate calls",
    "outside",
    "cosine vs Q/DQ",
    "top-1 as Q/DQ",
    ".pte vs float (dB)",
    "Q/DQ vs float (dB)",
    "Q/DQ as upstream places it",
    "XNNPACKQuantizer's Q/DQ",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--size", type=int, help="of images or sequences, instead of each model's usual one")
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--inputs", type=int, default=16, help="how many inputs are compared")
    parser.add_argument("--seed", type=int, default=0, help=f"of the inputs for calibration; not {TEST_SEED}")
    parser.add_argument("--json", help="write the results to this file; models that are in it already stay")
    arguments = parser.parse_args()
    if arguments.seed == TEST_SEED:
        parser.error(f"seed {TEST_SEED} is that of the inputs that are compared")
    results: dict[str, Any] = {}
    if arguments.json and Path(arguments.json).exists():
        results = json.loads(Path(arguments.json).read_text())["models"]
    for name in common.steps(arguments.models, "models"):
        network = NETWORKS[name]
        size = arguments.size or (network.small if arguments.small else network.size)
        results[name] = rounded(measure(network, size, arguments.inputs, arguments.seed))
        if results[name]["outside"]:
            reasons = sorted(set(results[name]["reasons"].values()))
            common.console.print(f"{name}: left outside: {'; '.join(reasons)}")
        if arguments.json:
            ordered = {name: results[name] for name in NETWORKS if name in results}
            Path(arguments.json).write_text(json.dumps({"machine": machine(), "models": ordered}, indent=2) + "\n")
    print_table("Networks in 8 bits", COLUMNS, [row(name, results[name]) for name in arguments.models])


if __name__ == "__main__":
    main()
