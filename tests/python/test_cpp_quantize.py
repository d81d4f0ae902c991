"""examples/cpp_quantize: the six steps in a C++ program end where those in Python do."""

import subprocess
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from test_two_doors import Bottleneck

import common
import two_doors
from openenn import _core

pytestmark = pytest.mark.full
TREE = ROOT / "build/release"


@pytest.fixture(scope="module")
def cpp_quantize(tmp_path_factory) -> Path:
    """Built against an install tree, as a stranger would."""
    if not (TREE / "tests/install/prefix").is_dir():
        pytest.skip("the C++ part of `make test` has not been run")
    folder = tmp_path_factory.mktemp("cpp_quantize")
    source = [
        "cmake",
        "-S",
        ROOT / "examples/cpp_quantize",
        "-B",
        folder,
        f"-DCMAKE_PREFIX_PATH={TREE / 'tests/install/prefix'}",
    ]
    for command in (source, ["cmake", "--build", folder]):
        subprocess.run(command, check=True, capture_output=True)
    return folder / "cpp_quantize"


def run(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)


def payload_of(file: bytes) -> bytes:
    ((_, _, _, ((_, payload),), operators),) = _core.read_pte(file)
    assert not operators
    return payload


def test_program_is_pythons(cpp_quantize, tmp_path) -> None:
    model = Bottleneck().eval()
    samples = [(torch.randn(1, 3, 16, 16),) for _ in range(3)]
    archive, result = tmp_path / "model.pt2", tmp_path / "model.pte"
    torch.export.save(torch.export.export(model, samples[0]), archive)
    files = [tmp_path / f"{i}.bin" for i in range(len(samples))]
    for file, (sample,) in zip(files, samples, strict=True):
        file.write_bytes(sample.numpy().tobytes())
    done = run(cpp_quantize, archive, result, *files)
    assert done.returncode == 0, done.stderr

    quantized = common.quantize(model, samples, samples[0])
    python = common.lower(quantized, samples[0]).to_executorch().buffer
    ours, theirs = payload_of(result.read_bytes()), payload_of(python)
    described = [
        [(step.op, step.name, step.module_path) for step in _core.Program(payload).steps] for payload in (ours, theirs)
    ]
    assert described[0] == described[1]
    assert len(ours) == len(theirs)
    # Torch's convolutions sum in another order, so ranges may differ in their last bits.
    difference = common.Pte(result.read_bytes())(*samples[0]) - common.Pte(python)(*samples[0])
    assert difference.abs().max() <= common.output_scale(quantized)

    # What is quantized already is lowered as it is.
    torch.export.save(torch.export.export(quantized, samples[0]), archive)
    assert run(cpp_quantize, archive, result).returncode == 0
    assert payload_of(result.read_bytes()) == theirs


def test_errors_have_exit_codes(cpp_quantize, tmp_path) -> None:
    archive, result, short = (tmp_path / name for name in ("model.pt2", "model.pte", "short.bin"))
    archive.write_bytes(two_doors.archive_of(torch.export.export(Bottleneck().eval(), (torch.randn(1, 3, 16, 16),))))
    short.write_bytes(b"123")
    assert run(cpp_quantize).returncode == 2
    done = run(cpp_quantize, archive, result, short)
    assert (done.returncode, result.exists()) == (1, False)
    assert "the sample ends within the input 'x', which is float32[1, 3, 16, 16]" in done.stderr
