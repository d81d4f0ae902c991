"""Logarithms, sines, cosines and divisors in 8-bit models: they keep full precision."""

from typing import Any

import pytest
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn
from torch.nn import functional

import common
from report import sqnr


class Rotary(nn.Module):
    """Rotary positions as language models compute them: a product of frequencies and positions, then both functions."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.output = nn.Linear(64, 64), nn.Linear(64, 64)
        self.register_buffer("frequencies", 1e4 ** (-torch.arange(0, 64, 2) / 64))

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        angles = (self.frequencies[None, :, None] @ positions[:, None, :].float()).transpose(1, 2)
        angles = torch.cat([angles, angles], -1)
        x = self.query(x)
        first, second = x.chunk(2, -1)
        return self.output(x * angles.cos() + torch.cat([-second, first], -1) * angles.sin())


class Spectrum(nn.Module):
    """The logarithm of a spectrum, as keyword spotting begins."""

    def __init__(self) -> None:
        super().__init__()
        self.bands, self.output = nn.Linear(64, 64, bias=False), nn.Linear(64, 16)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return self.output(torch.log(self.bands(x).square().clamp(min=1e-4)))


class CosineAttention(nn.Module):
    """As Swin v2 attends: by the angle between query and key, whose bias is zeros. Padding has keys of no length."""

    def __init__(self) -> None:
        super().__init__()
        self.projection, self.output = nn.Linear(64, 192), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        x = functional.pad(x, (0, 0, 0, 8))
        bias = self.projection.bias.clone()
        bias[64:128].zero_()
        query, key, value = functional.linear(x, self.projection.weight, bias).chunk(3, -1)
        scores = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(1, 2)
        return self.output((10 * scores).softmax(-1) @ value)


def inputs(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 24, 64, generator=generator), torch.arange(1000, 1024)[None].repeat(2, 1)


@pytest.mark.forms
@pytest.mark.parametrize(("model", "decibels"), [(Rotary, 26), (Spectrum, 20), (CosineAttention, 20)])
def test_operands_keep_full_precision(model: type[nn.Module], decibels: float) -> None:
    torch.manual_seed(0)
    network = model().eval()
    quantizer = EnnQuantizer()
    quantized = common.quantize(network, [inputs(seed) for seed in range(4)], inputs(0), quantizer)
    with torch.no_grad():
        expected = network(*inputs(9))
    assert sqnr(expected, quantized(*inputs(9))) > decibels
    actual = common.Pte(common.lower(quantized, inputs(0)).to_executorch().buffer)(*inputs(9))
    assert (actual - quantized(*inputs(9))).abs().max() <= 1.001 * common.output_scale(quantized)


def explained(model: nn.Module) -> dict[str, Any]:
    quantizer = EnnQuantizer()
    quantizer.annotate(torch.export.export(model, inputs(0)).module())
    return {row.name: row for row in quantizer.explain().rows}


def test_what_stays_float_says_why() -> None:
    rows = explained(Spectrum())
    assert rows["linear"].decision == "quantized"
    assert [name for name, _ in rows["linear"].operands] == ["x", "bands_weight"]
    assert not rows["linear"].result
    for name in ("square", "clamp"):
        assert (rows[name].decision, rows[name].reason) == (
            "in float",
            "a logarithm, sine or cosine, a division by it or a grid of places tells apart what one 8-bit step "
            "does not",
        )
    assert rows["log"].decision == "quantized"


def test_a_bias_written_in_place_leaves_its_layer_quantized() -> None:
    rows = explained(CosineAttention())
    assert rows["linear"].decision == "quantized"
    assert [name for name, _ in rows["linear"].operands] == ["pad", "projection_weight"]
    for name in ("linalg_vector_norm", "clamp_min", "expand_as"):
        assert not rows[name].result


def test_integers_are_negated() -> None:
    class Negated(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -x

    for values in (torch.tensor([3, -(2**40), 0]), torch.tensor([7, -7], dtype=torch.int32)):
        lowered = common.lower(Negated(), (values,))
        assert torch.equal(common.Pte(lowered.to_executorch().buffer)(values), -values)


@pytest.mark.parametrize("function", [torch.div, torch.remainder, torch.fmod])
def test_a_divisor_that_8_bits_would_round_to_0_gives_no_nan(function: Any) -> None:
    class Divides(nn.Module):
        def forward(self, x: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
            return function(x, divisor)

    x, divisor = torch.linspace(-3, 3, 64), torch.linspace(0.01, 100, 64)
    quantizer = EnnQuantizer()
    quantized = common.quantize(Divides(), [(x, divisor)], (x, divisor), quantizer)
    rows = {row.name: row for row in quantizer.explain().rows}
    # A remainder jumps where the dividend passes a multiple of the divisor.
    dividend = "quantized" if function is torch.div else "in float"
    assert (rows["x"].decision, rows["divisor"].decision) == (dividend, "in float")
    actual = common.Pte(common.lower(quantized, (x, divisor)).to_executorch().buffer)(x, divisor)
    assert actual.isfinite().all()
    assert torch.equal(actual, quantized(x, divisor))
