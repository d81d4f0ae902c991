"""Element types that the engine does not know (bfloat16, complex numbers, …): only what has them is left to others."""

from pathlib import Path

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn

import common
from openenn import EnnError, _core
from operators import calls_of


class Mixed(nn.Module):
    """Two layers with bfloat16 between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 4)
        self.register_buffer("offset", torch.ones(16, dtype=torch.bfloat16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.second((x.bfloat16() * 3 + self.offset).float()).sigmoid()


class Spectrum(nn.Module):
    """Magnitudes of frequencies, then a network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(9, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(120, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        window = torch.hann_window(16)
        spectrum = torch.stft(x, 16, 4, window=window, return_complex=True)
        return self.layers(torch.view_as_real(spectrum).square().sum(-1))


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "a8w8"])
def test_the_rest_is_delegated(quantized: bool) -> None:
    torch.manual_seed(0)
    model: nn.Module = Mixed().eval()
    x = torch.randn(3, 8)
    if quantized:
        quantizer = EnnQuantizer()
        model = common.quantize(model, [(x,)], (x,), quantizer)
        rows = {row.name: row for row in quantizer.explain().rows}
        assert {rows[name].decision for name in ("linear", "relu", "linear_1", "sigmoid")} <= {"quantized", "fused"}
        assert (rows["mul"].decision, rows["mul"].reason) == (
            "unchanged",
            "its values are bfloat16; only float32 and float16 are quantized",
        )
        back = [row for row in rows.values() if row.name.startswith("to") and row.decision == "in float"]
        assert [(row.reason, row.advice) for row in back] == [
            ("'add' is bfloat16, which this engine does not know", "compute it in float32")
        ]
    partitioner = EnnPartitioner()
    lowered = common.lower(model, (x,), partitioner)
    calls, outside = calls_of(lowered)
    assert calls == 2
    assert outside == len(partitioner.reasons) > 0
    assert all("bfloat16, which this engine does not know" in reason for reason in partitioner.reasons.values())
    program = common.Pte(lowered.to_executorch().buffer)
    step = common.output_scale(model) if quantized else 1e-6
    for _ in range(3):
        x = torch.randn(3, 8)
        torch.testing.assert_close(program(x), model(x), rtol=0, atol=1.01 * step)


def test_a_network_behind_a_fourier_transform_is_quantized() -> None:
    torch.manual_seed(0)
    model, x = Spectrum().eval(), torch.randn(2, 64)
    quantizer = EnnQuantizer()
    quantized = common.quantize(model, [(x,)], (x,), quantizer)
    rows = {row.name: row for row in quantizer.explain().rows}
    assert rows["conv1d"].decision == rows["linear"].decision == "quantized"
    assert rows["stft"].reason == "its values are complex64; only float32 and float16 are quantized"
    assert (quantized(x) - model(x)).square().mean() < 1e-3 * model(x).square().mean()
    partitioner = EnnPartitioner()
    lowered = common.lower(quantized, (x,), partitioner)
    assert not any("conv" in name or "linear" in name for name in partitioner.reasons)
    assert any("complex64, which this engine does not know" in reason for reason in partitioner.reasons.values())
    assert calls_of(lowered)[0] >= 1


def test_what_has_nothing_else_is_unchanged() -> None:
    exported = torch.export.export(nn.ReLU(), (torch.randn(2, 3, dtype=torch.bfloat16),))
    quantizer = EnnQuantizer()
    quantizer.annotate(exported.module())
    assert {row.decision for row in quantizer.explain().rows} == {"unchanged"}
    partitioner = EnnPartitioner()
    assert calls_of(common.lower(nn.ReLU(), (torch.randn(2, 3, dtype=torch.bfloat16),), partitioner)) == (0, 1)
    assert list(partitioner.reasons.values()) == ["'input_1' is bfloat16, which this engine does not know"]


def test_the_other_door_names_what_it_cannot_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(Mixed().eval(), (torch.randn(3, 8),)), path)
    with pytest.raises(
        EnnError, match=r"is not taken: 'to' is bfloat16, which this engine does not know; of \d+ nodes"
    ):
        _core.lower_pt2(path.read_bytes())
