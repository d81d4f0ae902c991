"""The documented example runs character for character, model weights and sample data aside."""

import torch
from conftest import ROOT

import common
from report import sqnr

EXAMPLE = (ROOT / "tests" / "data" / "specification_example.py").read_text()


def code_blocks(text: str) -> list[str]:
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def test_the_readme_shows_the_example() -> None:
    assert code_blocks((ROOT / "README.md").read_text())[0] == EXAMPLE


def test_the_demo_is_the_example() -> None:
    demo = (ROOT / "examples" / "mobilenet_v2.py").read_text()
    page = EXAMPLE.replace(
        "weights=MobileNet_V2_Weights.DEFAULT", "weights=weights_or_none(MobileNet_V2_Weights.DEFAULT)"
    )
    assert page in demo


def test_example_as_written(tmp_path, monkeypatch) -> None:
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
    monkeypatch.chdir(tmp_path)
    for block in code_blocks((ROOT / "README.md").read_text())[1:]:  # the program is saved and run
        exec(compile(block, "README.md", "exec"), names)
    actual = names["output"]
    assert actual.equal(common.Pte(names["et_program"].buffer)(inputs))
    # Nearer to the quantized model than that is to the float model.
    assert sqnr(expected, actual) > sqnr(exact, expected)
