"""examples/cpp: a C++ program, without Python, runs what the six steps made and gives the same bytes."""

import subprocess
import sysconfig
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import common
import two_doors
from openenn import _core

pytestmark = pytest.mark.full
SITE = Path(sysconfig.get_path("purelib"))


@pytest.fixture(scope="module")
def run_pte(tmp_path_factory) -> Path:
    build = tmp_path_factory.mktemp("examples")
    prefix = f"-DCMAKE_PREFIX_PATH={SITE / 'executorch'}"
    subprocess.run(["cmake", "-S", ROOT / "examples/cpp", "-B", build, prefix], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    return build / "run_pte"


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)


def test_output_equals_pythons(run_pte, small_network, tmp_path) -> None:
    model, source, result = (tmp_path / name for name in ("model.pte", "input.bin", "output.bin"))
    model.write_bytes(small_network.buffer)
    source.write_bytes(small_network.inputs[0].numpy().tobytes())
    done = run(run_pte, model, "--input", source, "--output", result, "--runs", "2")
    assert done.returncode == 0, done.stderr
    expected = common.Pte(small_network.buffer)(*small_network.inputs)
    assert torch.frombuffer(bytearray(result.read_bytes()), dtype=torch.float32).equal(expected.flatten())


def test_runs_what_was_lowered_in_cpp(run_pte, small_network, tmp_path) -> None:
    """No Python wrote the file, and none runs it."""
    model, source, result = (tmp_path / name for name in ("model.pte", "input.bin", "output.bin"))
    program = torch.export.export(small_network.quantized, small_network.inputs)
    model.write_bytes(_core.lower_pt2(two_doors.archive_of(program))[0])
    source.write_bytes(small_network.inputs[0].numpy().tobytes())
    done = run(run_pte, model, "--input", source, "--output", result)
    assert done.returncode == 0, done.stderr
    expected = common.Pte(small_network.buffer)(*small_network.inputs)
    assert torch.frombuffer(bytearray(result.read_bytes()), dtype=torch.float32).equal(expected.flatten())


def test_errors_have_exit_codes(run_pte, small_network, tmp_path) -> None:
    model, short = tmp_path / "model.pte", tmp_path / "short.bin"
    damaged = bytearray(small_network.buffer)
    damaged[damaged.find(b"ENN1") + 200] ^= 1
    model.write_bytes(damaged)
    short.write_bytes(b"123")
    assert run(run_pte).returncode == 2
    assert run(run_pte, tmp_path / "missing.pte").returncode == 1
    assert run(run_pte, model).returncode == 1
    model.write_bytes(small_network.buffer)
    assert run(run_pte, model, "--input", short).returncode == 1
