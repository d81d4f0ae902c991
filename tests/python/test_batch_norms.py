"""Batch norms that torchao folds where it must not: they stay apart, or their layer gets a weight of its own."""

import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from torch import nn

import common
from operators import calls_of
from report import sqnr


def norm(channels: int) -> nn.Module:
    layer = nn.BatchNorm2d(channels)
    with torch.no_grad():
        layer.running_mean.copy_(torch.randn(channels))
        layer.running_var.copy_(torch.rand(channels) * 4 + 0.2)
        layer.weight.copy_(torch.rand(channels) + 0.5)
        layer.bias.copy_(torch.randn(channels))
    return layer


class PreActivation(nn.Module):
    """He et al., "Identity Mappings in Deep Residual Networks": the shortcut begins before the batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.layer = nn.Conv2d(3, 8, 3, padding=1), norm(8), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return x + self.layer(self.norm(x).relu())


class SharedHead(nn.Module):
    """Tan et al., "EfficientDet": levels share the weights of a head, each with a batch norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.norms = nn.Conv2d(3, 8, 3, padding=1), nn.ModuleList([norm(8), norm(8)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norms[0](self.head(x)).relu() + self.norms[1](self.head(x * 0.5)).relu() + self.head(-x).relu()


class Twins(nn.Module):
    """One layer and its batch norm, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), norm(8), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch(x) + self.branch(-x)


class ComputedWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3, padding=1))
        self.norm = norm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(x)).relu()


class SharedLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.2, 4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)[:, :8]
        return self.norm(self.layer(x)).relu() + self.layer(x)


class Transposed(nn.Module):
    """Transposed convolutions of one group, of two, and depthwise."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(4, 8, 3, 2, groups=groups, bias=groups > 1), norm(8), nn.ReLU())
            for groups in (1, 2, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, x[:, :1]], 1)
        return sum(layer(x) for layer in self.layers)


def images(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.forms
@pytest.mark.parametrize("kind", [PreActivation, SharedHead, Twins, ComputedWeight, SharedLinear, Transposed])
def test_the_quantized_model_is_the_float_model(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    with torch.no_grad():
        expected = model(images(9))
    quantized = common.quantize(model, [(images(seed),) for seed in range(4)], (images(0),), EnnQuantizer())
    lowered = common.lower(quantized, (images(9),))
    assert calls_of(lowered) == (1, 0)
    with torch.no_grad():
        simulated = quantized(images(9))
        assert torch.equal(model(images(9)), expected)
    assert sqnr(expected, simulated) > 30
    actual = common.Pte(lowered.to_executorch().buffer)(images(9))
    assert (actual - simulated).abs().max() <= 1.001 * common.output_scale(quantized)


def test_batch_statistics_are_left_to_others() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU()).eval()
    quantized = common.quantize(model, [(images(seed),) for seed in range(4)], (images(0),), EnnQuantizer())
    lowered = common.lower(quantized, (images(9),))
    with torch.no_grad():
        expected, simulated = model(images(9)), quantized(images(9))
    assert sqnr(expected, simulated) > 30
    actual = common.Pte(lowered.to_executorch().buffer)(images(9))
    assert (actual - simulated).abs().max() <= 1.001 * common.output_scale(quantized)
