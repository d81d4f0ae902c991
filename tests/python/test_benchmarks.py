"""The programs of benchmarks/ start by themselves: the tests import them with much else already imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PROGRAMS = [path for path in sorted((ROOT / "benchmarks").glob("*.py")) if "argparse" in path.read_text()]


@pytest.mark.forms
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_benchmark_starts_by_itself(program: Path):
    done = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"usage: {program.name}" in done.stdout
