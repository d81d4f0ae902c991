"""Each operator against quantized_model in eager PyTorch: largest difference in steps, and how many elements differ."""

import argparse
from typing import Any

import torch
import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401 - defines torch.ops.quantized_decomposed

from operator_cases import CASES, Case
from report import common, print_table, save

_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default


def steps_of_difference(expected: torch.Tensor, actual: torch.Tensor, quantized: torch.fx.GraphModule) -> torch.Tensor:
    """In steps of the result's quantization; an integer or boolean result counts as it is.

    A result that stays in float has no steps: a hundred-thousandth of the largest element stands for one.
    """
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if not expected.is_floating_point():
        return (actual.long() - expected.long()).abs()
    quantizes = quantized.graph.output_node().all_input_nodes[0].target is _DEQUANTIZE
    step = common.output_scale(quantized) if quantizes else 1e-5 * float(expected.abs().max())
    return ((actual - expected) / step).round().abs()


class Link(torch.nn.Module):
    """An operator of a quantized model alone, with the quantization that its operands and its result have there."""

    def __init__(self, node: torch.fx.Node) -> None:
        super().__init__()
        self.target, self.args = node.target, node.args
        self.operands = [arg for arg in node.args if isinstance(arg, torch.fx.Node)]
        self.quantizations = [operand.args[1:] for operand in self.operands]
        (quantize,) = node.users
        (self.result,) = quantize.users
        assert quantize.target is _QUANTIZE
        assert self.result.target is _DEQUANTIZE

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        values = iter(
            _DEQUANTIZE(_QUANTIZE(value, *quantization), *quantization)
            for value, quantization in zip(operands, self.quantizations, strict=True)
        )
        result = self.target(*(next(values) if isinstance(arg, torch.fx.Node) else arg for arg in self.args))
        return _DEQUANTIZE(_QUANTIZE(result, *self.result.args[1:]), *self.result.args[1:])


class Chain(torch.fx.Interpreter):
    """A quantized model operator by operator, each as a .pte of its own.

    `differences` has those of each operator on the operands that the quantized model gives it; the result is that of
    the operators one behind the other. A difference of one step can move later results by several: how far says
    nothing of the arithmetic, what a single operator makes of its operands does.
    """

    def __init__(self, quantized: torch.fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> None:
        super().__init__(quantized)
        self.differences: list[torch.Tensor] = []
        self._eager: dict[torch.fx.Node, torch.Tensor] = {}
        recorder = torch.fx.Interpreter(quantized)
        run_node = recorder.run_node

        def record(node: torch.fx.Node) -> Any:
            self._eager[node] = run_node(node)
            return self._eager[node]

        recorder.run_node = record  # type: ignore[method-assign]
        recorder.run(*inputs)

    def run_node(self, node: torch.fx.Node) -> Any:
        if node.op != "call_function" or node.target in (_QUANTIZE, _DEQUANTIZE):
            return super().run_node(node)
        link = Link(node)
        operands = tuple(self._eager[operand].contiguous() for operand in link.operands)
        program = common.Pte(common.lower(link, operands).to_executorch().buffer)
        difference = (program(*operands) - self._eager[link.result]) / link.result.args[1]
        self.differences.append(difference.round().abs())
        return program(*(self.env[operand].contiguous() for operand in link.operands))


class OfComputed(torch.nn.Module):
    """The operator of a computed value: an input that is only moved and returned stays in float."""

    def __init__(self, operator: torch.nn.Module) -> None:
        super().__init__()
        self.bounds, self.operator = torch.nn.Hardtanh(-4, 4), operator

    def forward(self, first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        return self.operator(self.bounds(first), *others)


def calls_of(lowered: Any) -> tuple[int, int]:
    """How many delegate calls, and how many operators outside of them."""
    calls = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    delegated = sum("call_delegate" in call for call in calls)
    return delegated, sum("call_delegate" not in call and "getitem" not in call for call in calls)


def compare(case: Case) -> dict:
    """Differences over all elements, calibrated on the inputs that are run; of a chain, its worst operator's."""
    torch.manual_seed(0)
    model = case.module().eval()
    inputs = case.inputs()
    with torch.no_grad():
        quantized = common.quantize(model, [inputs], inputs)
        result = quantized.graph.output_node().all_input_nodes[0]
        if result.target is not _DEQUANTIZE and quantized(*inputs).is_floating_point():
            quantized = common.quantize(OfComputed(model), [inputs], inputs)
        lowered = common.lower(quantized, inputs)
        expected, actual = quantized(*inputs), common.Pte(lowered.to_executorch().buffer)(*inputs)
        if case.chain:
            chain = Chain(quantized, inputs)
            assert torch.equal(actual, chain.run(*inputs))
            differences = chain.differences
        else:
            differences = [steps_of_difference(expected, actual, quantized)]
    worst = max(differences, key=lambda difference: int((difference > 0).sum()) / difference.numel())
    delegate_calls, outside = calls_of(lowered)
    return {
        "elements": max(worst.numel(), *(tensor.numel() for tensor in inputs)),
        "largest_steps": max(int(difference.max()) for difference in differences),
        "differing": int((worst > 0).sum()),
        "delegate_calls": delegate_calls,
        "outside": outside,
    }


def relative_difference(expected: torch.Tensor, actual: torch.Tensor) -> float:
    """The largest difference, relative to the largest result."""
    largest = float(expected.double().abs().max())
    difference = float((actual.double() - expected.double()).abs().max())
    return difference / largest if largest else difference


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
