"""What tests/upstream/run.py makes of a test of ExecuTorch's suite."""

import importlib.util
from types import SimpleNamespace

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def recorder():
    spec = importlib.util.spec_from_file_location("upstream_run", ROOT / "tests" / "upstream" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Recorder(None)


def row(recorder, outcome: str, *results: str) -> dict[str, str]:
    entries = [
        SimpleNamespace(result=SimpleNamespace(display_name=lambda name=name: name), error=None) for name in results
    ]
    runner = SimpleNamespace(_flow=SimpleNamespace(name="enn"), _results=entries)
    report = pytest.TestReport("test", ("", 0, ""), {}, outcome, "E  Timeout" if outcome == "failed" else None, "call")
    return recorder._outcome(SimpleNamespace(funcargs={"test_runner": runner}), report)


def test_the_worst_result_of_a_test_counts(recorder):
    assert row(recorder, "passed", "Success (Delegated)")["result"] == "Success (Delegated)"
    assert row(recorder, "failed", "Fail (Lowering)", "Success (Delegated)")["result"] == "Fail (Lowering)"


def test_a_test_that_was_stopped_failed_whatever_came_before(recorder):
    assert row(recorder, "failed") == {"flow": "enn", "result": "failed", "error": "E  Timeout"}
    assert row(recorder, "failed", "Success (Delegated)")["result"] == "failed"
