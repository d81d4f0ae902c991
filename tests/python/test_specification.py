"""The documented example runs character for character, model weights and sample data aside."""

import torch
from conftest import ROOT

import common
from report import sqnr

EXAMPLE = (ROOT / "tests" / "data" / "specification_example.py").read_text()


def code_block(text: str) -> str:
    return text.split("```python\n", 2)[1].split("```")[0]


def test_the_readme_shows_the_example() -> None:
    assert code_block((ROOT / "README.md").read_text()) == EXAMPLE


def test_the_demo_is_the_example() -> None:
    demo = (ROOT / "examples" / "mobilenet_v2.py").read_text()
    page = EXAMPLE.replace(
        "weights=MobileNet_V2_Weights.DEFAULT", "weights=weights_or_none(MobileNet_V2_Weights.DEFAULT)"
    )
    assert page in demo


def test_example_as_written() -> None:
    names: dict = {}
    weights = "weights=MobileNet_V2_Weights.DEFAULT"
    sample = "(torch.randn(1, 3, 224, 224), )"
    assert weights in EXAMPLE and sample in EXAMPLE
    replaced = EXAMPLE.replace(weights, "weights=None").replace(sample, "(torch.randn(1, 3, 224, 224) * 0.5, )")
    exec(compile(replaced, "specification_example.py", "exec"), names)

    delegates = names["et_program"].executorch_program.execution_plan[0].delegates
    operators = names["et_program"].executorch_program.execution_plan[0].operators
    assert [delegate.id for delegate in delegates] == ["EnnBackend"]
    assert not operators
    (inputs,) = names["sample_inputs"]
    with torch.no_grad():
        expected, exact = names["quantized_model"](inputs), names["model"](inputs)
    actual = common.Pte(names["et_program"].buffer)(inputs)
    # Nearer to the quantized model than that is to the float model.
    assert sqnr(expected, actual) > sqnr(exact, expected)
