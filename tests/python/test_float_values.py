"""Values that 8 bits would spoil, in one model: eager's results beside the converted model's and the .pte's."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn
from torch.nn import functional

import common
from openenn import _core
from report import sqnr

NAMES = (
    "peaks",
    "equal",
    "standardized",
    "normed",
    "returned",
    "flattened",
    "power",
    "masked",
    "gated",
)
SIZES = torch.tensor([1e4, 1.0, 0.01])
MEANS = torch.tensor([5e4, 0.0, 0.0])


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heat, self.features, self.from_norm = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(3, 4), nn.Linear(3, 4)
        self.norm, self.positive, self.gate = nn.BatchNorm1d(3), nn.Linear(8, 8), nn.Linear(8, 8)
        for _ in range(50):
            self.norm(torch.randn(8, 3) * SIZES + MEANS)
        hidden = torch.zeros(1, 8, 8, dtype=torch.bool)
        hidden[:, 0] = True
        self.register_buffer("hidden", hidden)
        self.register_buffer("sizes", SIZES)
        self.register_buffer("means", MEANS)

    def forward(self, image, raw, sensors, rows, other):
        heat = torch.sigmoid(self.heat(image))
        peaks = (functional.max_pool2d(heat, 3, 1, 1) == heat).float()
        equal = (torch.maximum(rows, other) == rows).float()
        standardized = self.features((raw - self.means) / self.sizes)
        normed = self.from_norm(self.norm(sensors))
        power = (rows.abs() + 0.1) ** -1
        scores = (rows @ rows.mT).masked_fill(self.hidden, -math.inf)
        weights = scores.softmax(-1)
        weights = torch.where(torch.isnan(weights), 0.0, weights)
        gated = self.gate(other).sigmoid() * other
        return peaks, equal, standardized, normed, rows, image.flatten(1), power, weights @ rows, gated


def samples(count: int) -> list[tuple[torch.Tensor, ...]]:
    def features() -> torch.Tensor:
        return torch.randn(8, 3) * SIZES + MEANS

    return [
        (torch.randn(1, 3, 12, 12), features(), features(), torch.randn(1, 8, 8), torch.randn(1, 8, 8))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
    torch.manual_seed(0)
    model = Everything().eval()
    calibration, (inputs,) = samples(16), samples(1)
    quantized = common.quantize(model, calibration, inputs, EnnQuantizer())
    folder: Path = tmp_path_factory.mktemp("float_values")
    torch.export.save(torch.export.export(model, inputs), folder / "model.pt2")
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(folder / "model.pt2")), _core.EnnQuantizer())
    for sample in calibration:
        prepared.run([tensor.numpy() for tensor in sample])
    _core.convert_pt2e(prepared).exported_program.save(str(folder / "quantized.pt2"))
    with torch.no_grad():
        found = {
            "eager": model(*inputs),
            "converted": quantized(*inputs),
            ".pte": common.Pte(common.lower(quantized, inputs).to_executorch().buffer).outputs(*inputs),
            "C++": torch.export.load(folder / "quantized.pt2").module()(*inputs),
        }
    yield {door: dict(zip(NAMES, outputs, strict=True)) for door, outputs in found.items()}


DOORS = ("converted", ".pte", "C++")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["equal", "returned", "flattened"])
def test_what_no_layer_computes_is_eagers_to_the_bit(results, name: str, door: str) -> None:
    assert torch.equal(results[door][name], results["eager"][name])


@pytest.mark.parametrize("door", DOORS)
def test_peaks_of_a_quantized_map_are_its_own(results, door: str) -> None:
    """Neighbours that 8 bits make equal are peaks both: a few more, and none is lost."""
    peaks, expected = results[door]["peaks"], results["eager"]["peaks"]
    assert expected.sum() <= peaks.sum() + 2
    assert peaks.sum() <= 1.1 * expected.sum()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("name", "least"),
    # In 8 bits: 3, 4, 13, 5 and 30 dB.
    [("standardized", 35), ("normed", 35), ("power", 38), ("masked", 33), ("gated", 35)],
)
def test_results_keep_what_8_bits_would_lose(results, name: str, least: float, door: str) -> None:
    assert sqnr(results["eager"][name], results[door][name]) > least


def test_the_program_computes_what_the_converted_model_does(results) -> None:
    for name in NAMES:
        assert sqnr(results["converted"][name], results[".pte"][name]) > 40, name
