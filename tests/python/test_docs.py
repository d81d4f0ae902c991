"""The documents' Python code runs as it is written, and docs/python.md lists what the package has."""

import importlib.metadata
import re
import sys

import pytest
from conftest import ROOT

import common
import openenn

sys.path.insert(0, str(ROOT / "scripts"))
import generate_tables

# The README's code is the documented example, which test_specification.py runs.
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if "```python\n" in path.read_text())


def code_of(page) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs_as_written(page, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code_of(page), page.name, "exec"), names)
    quantized = names.get("quantized_model", names.get("quantized"))
    edge = common.lower(quantized, names["inputs"])
    targets = [str(node.target) for node in edge.exported_program().graph.nodes if node.op == "call_function"]
    assert [target for target in targets if "getitem" not in target] == ["executorch_call_delegate"]
    if "output" in names:
        assert names["output"].equal(common.Pte(edge.to_executorch().buffer)(*names["inputs"]))


def test_every_page_with_code_is_run() -> None:
    assert {page.stem for page in PAGES} == {"python", "quantization_aware_training", "repair"}


def test_the_api_page_is_the_packages() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    assert generate_tables.python_api() in page
    assert generate_tables.executorch_names() in page
    for name in openenn.__all__:
        heading = f"## `openenn.{name}`" if name in ("pt2e", "qat") else f"### `{name}"
        assert f"\n{heading}" in page, name


def test_the_package_shows_its_names() -> None:
    assert [name for name in dir(openenn) if not name.startswith("__")] == sorted(
        name for name in openenn.__all__ if name != "__version__"
    )
    assert openenn.__version__ == importlib.metadata.version("openenn")
    from executorch.backends.samsung.partition import enn_partitioner
    from executorch.backends.samsung.quantizer import quantizer

    assert openenn.EnnQuantizer is quantizer.EnnQuantizer
    assert openenn.EnnPartitioner is enn_partitioner.EnnPartitioner
    with pytest.raises(AttributeError, match="module 'openenn' has no attribute 'EnnQuantiser'"):
        openenn.EnnQuantiser


def test_cmake_versions_are_those_of_the_documents() -> None:
    """ExecuTorch's package has targets from CMake 3.28 on; the rest needs Debian 12's 3.25."""
    needed = {
        folder: re.search(
            r"cmake_minimum_required\(VERSION ([\d.]+)\)", (ROOT / folder / "CMakeLists.txt").read_text()
        )[1]
        for folder in (".", "examples/cpp", "examples/cpp_quantize")
    }
    assert needed == {".": "3.25", "examples/cpp": "3.28", "examples/cpp_quantize": "3.25"}
    assert "CMake 3.25" in (ROOT / "docs" / "cpp.md").read_text()
    for page in ("README.md", "docs/cpp.md"):
        assert "CMake 3.28" in (ROOT / page).read_text(), page


def test_the_readme_names_the_versions_that_are_tested() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    requirements = {
        name: (ROOT / "scripts" / "requirements" / f"{name}.txt").read_text() for name in ("demo", "newest")
    }
    for name, command in (("demo", "make test"), ("newest", "make test-newest-torch")):
        (torch,) = re.findall(r"^torch==([\d.]+)$", requirements[name], re.MULTILINE)
        assert f"torch {torch} (`{command}`)" in readme
    for package in ("executorch", "torchao"):
        (version,) = {re.findall(rf"^{package}==([\d.]+)$", text, re.MULTILINE)[0] for text in requirements.values()}
        assert version in readme
