"""Per operator: at most one quantization step from quantized_model, in at most one of 1,000 elements of 10^6;
without quantization 1e-5 from eager PyTorch."""

import pytest
import torch
from together import Case, check_together, parts

import operators
from openenn import _core
from operator_cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_operator_against_quantized_model(name: str) -> None:
    result = operators.compare(CASES[name])
    assert result["elements"] >= 10**6
    assert result["delegate_calls"] == 1
    assert result["outside"] == 0
    assert result["largest_steps"] <= 1
    assert result["differing"] * 1000 <= result["elements"]


def close(expected: torch.Tensor, actual: torch.Tensor, step: float) -> None:
    assert operators.relative_difference(expected, actual) <= 1e-5


def check_in_float(table: dict[str, operators.Case], names: list[str]) -> None:
    """Each model alone is made and gets its inputs with the same seed."""
    cases = []
    for name in names:
        torch.manual_seed(0)
        cases.append(Case(name, table[name].module().eval(), table[name].inputs()))
    check_together(cases, close)


@pytest.mark.full
@pytest.mark.parametrize("names", parts(CASES))
def test_float_operator_against_eager(names: list[str]) -> None:
    check_in_float(CASES, names)


def test_every_operator_has_a_case() -> None:
    table = {operator for _, operator, _ in _core.operators()}
    shown = {operator for case in CASES.values() for operator in case.operators}
    # Every model begins with a quantize and ends with a dequantize.
    assert table - {"quantize", "dequantize"} - shown == set()
