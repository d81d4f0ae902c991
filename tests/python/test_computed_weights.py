"""Weights that the graph computes from constants: they are computed when compiling, and their layers are quantized."""

import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from torch import nn
from torch.nn import functional

import common
from operators import calls_of
from report import sqnr


class StandardizedByBatchNorm(nn.Conv2d):
    """Qiao et al., "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization"."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(flat, None, None, training=True, momentum=0.0, eps=1e-6)
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


class StandardizedWithGain(nn.Conv2d):
    """The same with a gain, and another way to write it."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.gain = nn.Parameter(torch.rand(self.out_channels, 1, 1, 1) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = self.gain * (self.weight - mean) / torch.sqrt(variance + 1e-5)
        return self._conv_forward(x, weight, self.bias)


class Ternary(nn.Conv2d):
    """Ma et al., "The Era of 1-bit LLMs": weights of -1, 0 and 1, and a scale."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.weight.abs().mean()
        return self._conv_forward(x, (self.weight / scale).round().clamp(-1, 1) * scale, self.bias)


def weight_norm(dim: int | None) -> nn.Module:
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3), dim=dim)
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(torch.rand_like(layer.parametrizations.weight.original0) + 0.5)
    return layer


LAYERS = {
    "weight_norm": lambda: weight_norm(0),
    "weight_norm of columns": lambda: weight_norm(3),
    "weight_norm of all": lambda: weight_norm(None),
    "weight_norm by hooks": lambda: nn.utils.weight_norm(nn.Conv2d(3, 8, 3)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 8, 3)),
    "standardized by batch norm": lambda: StandardizedByBatchNorm(3, 8, 3),
    "standardized with a gain": lambda: StandardizedWithGain(3, 8, 3),
    "ternary": lambda: Ternary(3, 8, 3),
}


class LowRank(nn.Conv2d):
    """Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models"."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.weight.flatten(1)[:, :2] @ self.weight.flatten(1)[:2]
        return self._conv_forward(x, self.weight + change.view_as(self.weight), self.bias)


# Computed by operators that the core does not compute with, or ExecuTorch does not have: torch does when preparing.
PREPARED = {
    "low rank": lambda: LowRank(3, 8, 3),
    "orthogonal": lambda: nn.utils.parametrizations.orthogonal(nn.Conv2d(3, 8, 3)),
    "orthogonal by reflections": lambda: nn.utils.parametrizations.orthogonal(
        nn.Conv2d(3, 8, 3), orthogonal_map="householder"
    ),
}


def model_with(name: str) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential((LAYERS | PREPARED)[name](), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()


def images(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 9, 11, generator=torch.Generator().manual_seed(seed))


@pytest.mark.forms
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("name", LAYERS)
def test_float(name: str) -> None:
    model, x = model_with(name), images(0)
    lowered = common.lower(model, (x,))
    assert calls_of(lowered) == (1, 0)
    with torch.no_grad():
        expected = model(x)
    actual = common.Pte(lowered.to_executorch().buffer)(x)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.forms
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("name", LAYERS | PREPARED)
def test_quantized(name: str) -> None:
    model = model_with(name)
    quantizer = EnnQuantizer()
    quantized = common.quantize(model, [(images(seed),) for seed in range(4)], (images(0),), quantizer)
    rows = quantizer.explain().rows
    (layer,) = [row for row in rows if row.name == "conv2d"]
    assert layer.decision == "quantized" and len(layer.operands) == 2
    lowered = common.lower(quantized, (images(9),))
    assert calls_of(lowered) == (1, 0)
    with torch.no_grad():
        expected, simulated = model(images(9)), quantized(images(9))
    actual = common.Pte(lowered.to_executorch().buffer)(images(9))
    assert (actual - simulated).abs().max() <= 1.001 * common.output_scale(quantized)
    assert sqnr(expected, actual) > 30
