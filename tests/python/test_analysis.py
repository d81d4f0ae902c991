"""openenn.analyze and `enn analyze`: one engine, the same numbers through both doors, and what each writes."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import openenn

ENN = Path(os.environ.get("ENN_COMMAND", Path(sysconfig.get_path("scripts"), "enn")))


class Network(nn.Module):
    """A batch norm to fold, a sum that a convolution takes in, a function, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        nn.init.uniform_(self.stem[1].running_var, 0.5, 2)

    def forward(self, x):
        x = self.stem(x)
        x = nn.functional.hardswish(self.body(x) + x)
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A model, its archive and data, and Python's report."""
    torch.manual_seed(20)
    model = Network().eval()
    samples = [(torch.randn(1, 3, 8, 8),) for _ in range(6)]
    folder = tmp_path_factory.mktemp("analysis")
    exported = torch.export.export(model, samples[0])
    torch.export.save(exported, folder / "m.pt2")
    np.save(folder / "x.npy", np.concatenate([sample[0].numpy() for sample in samples]))
    return folder, exported, samples, openenn.analyze(exported, samples, threads=1)


def enn(*arguments: object) -> str:
    done = subprocess.run([ENN, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_doors_give_the_same_numbers(case) -> None:
    folder, _, _, report = case
    of_python = json.loads(report.to_json())
    of_command = json.loads(enn("analyze", folder / "m.pt2", "--data", folder / "x.npy", "--json"))
    assert [layer["nodes"] for layer in of_python["layers"]] == [
        ["conv2d", "relu"],
        ["conv2d_1", "add"],
        ["hardswish"],
        ["mean"],
        ["linear"],
    ]
    for layer in of_python["layers"] + of_command["layers"]:
        for weight in layer["weights"]:
            del weight["name"]  # a parameter has other names in a module and in an archive
    assert of_python["layers"] == of_command["layers"]
    assert of_python["ranking"] == of_command["ranking"]
    assert [layer["module"] for layer in of_python["layers"]] == ["stem.0", "body", "", "", "head"]
    assert all(layer["source"] for layer in of_python["layers"])


def test_errors_are_those_of_the_converted_model(case) -> None:
    """The accumulated error of the output is that of running both models."""
    _, exported, samples, report = case
    prepared = openenn.pt2e.prepare_pt2e(exported.module(), openenn.EnnQuantizer(), threads=1)
    for sample in samples:
        prepared(*sample)
    quantized = openenn.pt2e.convert_pt2e(prepared)
    with torch.no_grad():
        exact = torch.cat([exported.module()(*sample) for sample in samples]).double()
        actual = torch.cat([quantized(*sample) for sample in samples]).double()
    expected = 10 * torch.log10(exact.square().sum() / (exact - actual).square().sum())
    assert report.outputs[0].error.sqnr == pytest.approx(float(expected), abs=0.01)  # torch sums in another order
    assert report.outputs[0].error.max_difference == pytest.approx(float((exact - actual).abs().max()), rel=1e-3)
    given = openenn.analyze(
        exported, samples, quantized=quantized, programs={"converted": quantized}, threads=1, sensitivity=2
    )
    (output,) = given.programs["converted"]
    assert output.name == "linear"
    assert output.error.sqnr == pytest.approx(report.outputs[0].error.sqnr, abs=1e-3)  # summed in another order
    assert [layer.isolated.sqnr for layer in given.layers] == [layer.isolated.sqnr for layer in report.layers]
    assert sum(layer.contribution for layer in given.layers) == pytest.approx(1)
    assert given.layers[-1].alone.sqnr == pytest.approx(given.layers[-1].isolated.sqnr, abs=3)  # of two samples


def test_a_program_beside_its_archive(case, tmp_path) -> None:
    folder, _, _, report = case
    data = ("--data", folder / "x.npy")
    enn("quantize", folder / "m.pt2", "-o", tmp_path / "q.pt2", "--pte", tmp_path / "m.pte", *data)
    page = tmp_path / "report.html"
    table = enn("analyze", folder / "m.pt2", tmp_path / "q.pt2", tmp_path / "m.pte", *data, "--html", page)
    assert f"{report.outputs[0].error.sqnr:.1f} dB" in table
    assert "output of m.pte 'linear': " in table
    assert page.read_text().startswith("<!DOCTYPE html>")
    document = json.loads(enn("analyze", folder / "m.pt2", tmp_path / "m.pte", *data, "--json"))
    assert document["layers"] == []
    compared = json.loads(enn("compare", folder / "m.pt2", tmp_path / "m.pte", *data, "--json"))
    assert document["programs"]["m.pte"][0]["sqnr"] == compared["tensors"][0]["sqnr"]


def test_text_and_page(case) -> None:
    report = case[-1]
    assert str(report).startswith("6 samples, 5 layers:\n")
    assert "<title>Mine</title>" in report.to_html("Mine")


def test_samples_are_read_twice(case) -> None:
    _, exported, samples, _ = case
    with pytest.raises(openenn.InvalidArgumentError, match="read twice"):
        openenn.analyze(exported, iter(samples))
    with pytest.raises(openenn.InvalidArgumentError, match="no sample"):
        openenn.analyze(exported, [])
