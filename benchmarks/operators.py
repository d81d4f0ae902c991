"""Each operator against quantized_model in eager PyTorch: largest difference in steps, and how many elements differ."""

import argparse

import torch

from operator_cases import CASES, Case
from report import common, print_table, save


def compare(case: Case) -> dict:
    """Differences over all elements, calibrated on the inputs that are run."""
    torch.manual_seed(0)
    model = case.module().eval()
    inputs = case.inputs()
    with torch.no_grad():
        quantized = common.quantize(model, [inputs], inputs)
        lowered = common.lower(quantized, inputs)
        calls = [node for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
        pte = common.Pte(lowered.to_executorch().buffer)
        expected, actual = quantized(*inputs), pte(*inputs)
    scale = common.output_scale(quantized)
    difference = ((actual - expected) / scale).round().abs()
    return {
        "elements": difference.numel(),
        "largest_steps": int(difference.max()),
        "differing": int((difference > 0).sum()),
        "delegate_calls": sum("call_delegate" in str(node.target) for node in calls),
        "outside": sum("call_delegate" not in str(node.target) and "getitem" not in str(node.target) for node in calls),
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
