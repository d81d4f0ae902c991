"""Each operator against quantized_model in eager PyTorch: largest difference in steps, and how many elements differ."""

import argparse
from typing import Any

import torch

from operator_cases import CASES, Case
from report import common, print_table, save


def steps_of_difference(expected: torch.Tensor, actual: torch.Tensor, quantized: torch.fx.GraphModule) -> torch.Tensor:
    """In steps of the result's quantization; an integer or boolean result counts as it is."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if not expected.is_floating_point():
        return (actual.long() - expected.long()).abs()
    return ((actual - expected) / common.output_scale(quantized)).round().abs()


def calls_of(lowered: Any) -> tuple[int, int]:
    """How many delegate calls, and how many operators outside of them."""
    calls = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    delegated = sum("call_delegate" in call for call in calls)
    return delegated, sum("call_delegate" not in call and "getitem" not in call for call in calls)


def compare(case: Case) -> dict:
    """Differences over all elements, calibrated on the inputs that are run."""
    torch.manual_seed(0)
    model = case.module().eval()
    inputs = case.inputs()
    with torch.no_grad():
        quantized = common.quantize(model, [inputs], inputs)
        lowered = common.lower(quantized, inputs)
        expected, actual = quantized(*inputs), common.Pte(lowered.to_executorch().buffer)(*inputs)
    difference = steps_of_difference(expected, actual, quantized)
    delegate_calls, outside = calls_of(lowered)
    return {
        "elements": max(difference.numel(), *(tensor.numel() for tensor in inputs)),
        "largest_steps": int(difference.max()),
        "differing": int((difference > 0).sum()),
        "delegate_calls": delegate_calls,
        "outside": outside,
    }


def compare_float(case: Case) -> dict:
    """The model that was not quantized: largest difference relative to the largest result."""
    torch.manual_seed(0)
    model = case.module().eval()
    inputs = case.inputs()
    with torch.no_grad():
        lowered = common.lower(model, inputs)
        expected, actual = model(*inputs), common.Pte(lowered.to_executorch().buffer)(*inputs)
    assert actual.dtype == expected.dtype
    delegate_calls, outside = calls_of(lowered)
    largest = float(expected.double().abs().max())
    difference = float((actual.double() - expected.double()).abs().max())
    return {
        "difference": difference / largest if largest else difference,
        "delegate_calls": delegate_calls,
        "outside": outside,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the results to this file")
    arguments = parser.parse_args()
    results = {}
    for name, case in common.steps(list(CASES.items()), "operators"):
        results[name] = compare(case)
    rows = [
        [
            name,
            f"{result['elements']:,}",
            result["largest_steps"],
            f"{result['differing'] * 1e6 / result['elements']:.1f}",
        ]
        for name, result in results.items()
    ]
    print_table(
        "The .pte against quantized_model, operator by operator",
        ["operator", "elements", "largest difference (steps)", "differing (per million)"],
        rows,
    )
    save(arguments.json, {"operators": results})


if __name__ == "__main__":
    main()
