"""Per operator: at most one quantization step from quantized_model, in at most one of 1,000 elements of 10^6;
without quantization 1e-5 from eager PyTorch."""

import pytest

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


@pytest.mark.parametrize("name", CASES)
def test_float_operator_against_eager(name: str) -> None:
    result = operators.compare_float(CASES[name])
    assert result["delegate_calls"] == 1
    assert result["outside"] == 0
    assert result["difference"] <= 1e-5


def test_every_operator_has_a_case() -> None:
    table = {operator for _, operator, _ in _core.operators()}
    shown = {operator for case in CASES.values() for operator in case.operators}
    # Every model begins with a quantize and ends with a dequantize.
    assert table - {"quantize", "dequantize"} - shown == set()
