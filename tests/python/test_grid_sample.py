"""Images read at the places of a grid, against eager PyTorch: spatial transformers, warps, odd coordinates."""

import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from test_images import check_float, check_quantized, close
from together import Case, check_together
from torch import nn
from torch.nn import functional

import common
from operator_cases.case import Call
from operators import calls_of
from report import sqnr

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def sampler(mode: str, padding: str, align_corners: bool) -> nn.Module:
    return Call(
        lambda x, grid: functional.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=align_corners)
    )


def places(*shape: int) -> torch.Tensor:
    """Inside of the image and far outside, with pixels' middles and edges and halves between them."""
    grid = torch.randn(*shape, 2, generator=torch.Generator().manual_seed(1)) * 1.5
    grid.view(-1)[::5] = (grid.view(-1)[::5] * 8).round() / 8
    grid.view(-1)[::11] *= 20
    return grid


@pytest.mark.forms
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_float(mode: str, padding: str, align_corners: bool) -> None:
    shapes = ((2, 3, 7, 9), (1, 17, 1, 5), (1, 1, 4, 1), (1, 8, 1, 1))
    check_together(
        [
            Case(str(shape), sampler(mode, padding, align_corners), (torch.randn(shape), places(shape[0], 6, 11)))
            for shape in shapes
        ],
        close,
    )


@pytest.mark.forms
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_quantized(mode: str, padding: str, align_corners: bool) -> None:
    torch.manual_seed(0)
    check_quantized(sampler(mode, padding, align_corners), torch.randn(2, 5, 9, 7), places(2, 40, 30))


@pytest.mark.forms
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_places_that_are_no_numbers(mode: str, padding: str) -> None:
    grid = torch.tensor([float("nan"), 0.1, float("inf"), 0.2, 0.3, float("-inf"), 1e30, 0.5]).view(1, 1, 4, 2)
    model, inputs = sampler(mode, padding, False), (torch.randn(1, 3, 4, 5), grid)
    actual = common.Pte(common.lower(model, inputs).to_executorch().buffer)(*inputs)
    torch.testing.assert_close(actual, model(*inputs), rtol=0, atol=1e-6, equal_nan=True)


def test_a_grid_with_channels_last() -> None:
    class Warp(nn.Module):
        """Optical flow: a convolution says how far each pixel is fetched from."""

        def __init__(self) -> None:
            super().__init__()
            self.flow = nn.Conv2d(3, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.grid_sample(x, self.flow(x).permute(0, 2, 3, 1), align_corners=True)

    check_float(Warp(), torch.randn(2, 3, 8, 6))


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grids(align_corners: bool) -> None:
    cases = []
    for size in ((2, 3, 5, 7), (1, 1, 1, 4), (3, 2, 6, 1)):
        model = Call(lambda theta, size=size: functional.affine_grid(theta, list(size), align_corners=align_corners))
        cases.append(Case(str(size), model, (torch.randn(size[0], 2, 3),)))
    check_together(cases, close)


class SpatialTransformer(nn.Module):
    """Jaderberg et al., "Spatial Transformer Networks": the network turns its input before it looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.theta = nn.Linear(32, 6)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        with torch.no_grad():
            self.theta.bias.copy_(torch.tensor([0.8, 0.3, 0.1, -0.3, 0.8, 0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        theta = self.theta(self.localization(x).flatten(1)).view(-1, 2, 3)
        grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
        return self.features(functional.grid_sample(x, grid, align_corners=False))


def test_spatial_transformer() -> None:
    torch.manual_seed(0)
    model = SpatialTransformer().eval()
    batches = [functional.interpolate(torch.rand(2, 3, 8, 8), size=(32, 32), mode="bicubic") for _ in range(5)]
    quantizer = EnnQuantizer()
    quantized = common.quantize(model, [(x,) for x in batches[:4]], (batches[0],), quantizer)
    rows = {row.name: row for row in quantizer.explain().rows}
    assert [name for name, _ in rows["grid_sampler"].operands] == ["x"]
    assert rows["linear"].decision == "quantized" and not rows["linear"].result
    lowered = common.lower(quantized, (batches[0],))
    assert calls_of(lowered) == (1, 0)
    with torch.no_grad():
        expected, simulated = model(batches[4]), quantized(batches[4])
    actual = common.Pte(lowered.to_executorch().buffer)(batches[4])
    assert (actual - simulated).abs().max() <= 1.001 * common.output_scale(quantized)
    assert sqnr(expected, actual) > 28


def test_three_dimensions_are_left_to_others() -> None:
    from executorch.exir import EdgeCompileConfig

    from openenn.partitioner import EnnPartitioner

    partitioner = EnnPartitioner()
    inputs = (torch.randn(1, 1, 3, 4, 5), torch.rand(1, 2, 2, 2, 3))
    model = Call(lambda x, grid: functional.grid_sample(x * 2, grid, align_corners=False))
    common.lower(model, inputs, partitioner, EdgeCompileConfig(_check_ir_validity=False))
    assert any("sampling in three dimensions is not taken" in reason for reason in partitioner.reasons.values())
