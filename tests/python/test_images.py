"""Odd forms of image operators and reductions against eager PyTorch: ranks, negative dimensions, paddings, types."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from together import Case as Small
from together import check_together, parts
from torch import nn
from torch.nn import functional

import common
import operators
from operator_cases.case import Call, Case


def lowered(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[common.Pte, Any]:
    edge = common.lower(model, inputs)
    return common.Pte(edge.to_executorch().buffer), edge


def check_float(model: nn.Module, *inputs: torch.Tensor) -> None:
    """One delegate call, nothing outside, and the float result of eager PyTorch."""
    with torch.no_grad():
        program, edge = lowered(model.eval(), inputs)
        expected, actual = model(*inputs), program(*inputs)
    assert operators.calls_of(edge) == (1, 0)
    close(expected, actual, 1.0)


def close(expected: torch.Tensor, actual: torch.Tensor, step: float) -> None:
    largest = float(expected.double().abs().max())
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * largest, equal_nan=True)


def check_quantized(model: nn.Module, *inputs: torch.Tensor) -> None:
    case = Case((), lambda: model, make_inputs=lambda: inputs)
    result = operators.compare(case)
    assert (result["delegate_calls"], result["outside"]) == (1, 0)
    assert result["largest_steps"] <= 1
    # At least one element may differ where there are fewer than 1,000.
    assert result["differing"] * 1000 <= max(result["elements"], 1000)


IMAGES = {
    "max pool ceil": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 11)),
    "max pool dilated": (nn.MaxPool2d((2, 3), (1, 2), (1, 1), dilation=(2, 3)), (1, 5, 9, 13)),
    "max pool of one image": (nn.MaxPool2d(2), (5, 8, 6)),
    "max pool 1d": (nn.MaxPool1d(3, 2, 1), (2, 5, 17)),
    "max pool 1d of one signal": (nn.MaxPool1d(3), (5, 17)),
    "avg pool ceil": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 8)),
    "avg pool without padding": (nn.AvgPool2d((3, 5), 2, (1, 2), count_include_pad=False), (1, 17, 9, 9)),
    "avg pool divisor": (nn.AvgPool2d(3, 2, divisor_override=5), (1, 3, 9, 7)),
    "avg pool 1d": (nn.AvgPool1d(4, 3, 2), (3, 2, 23)),
    "avg pool global": (nn.AvgPool2d((7, 9)), (2, 3, 7, 9)),
    "adaptive avg": (nn.AdaptiveAvgPool2d((3, 4)), (2, 5, 7, 10)),
    "adaptive avg larger": (nn.AdaptiveAvgPool2d((9, 8)), (1, 3, 5, 5)),
    "adaptive avg of one image": (nn.AdaptiveAvgPool2d(2), (3, 5, 7)),
    "adaptive avg 1d": (nn.AdaptiveAvgPool1d(4), (2, 3, 10)),
    "lp pool": (nn.LPPool2d(2, 3, stride=2), (1, 3, 9, 9)),
    "pixel shuffle of one image": (nn.PixelShuffle(2), (12, 3, 5)),
    "pixel unshuffle": (nn.PixelUnshuffle(3), (2, 3, 6, 9)),
    "channel shuffle": (nn.ChannelShuffle(3), (2, 6, 5, 4)),
    "conv 1d of one signal": (nn.Conv1d(3, 5, 3, padding=1), (3, 11)),
    "conv 1d same": (nn.Conv1d(3, 5, 4, padding="same", dilation=2), (2, 3, 11)),
    "conv of one image": (nn.Conv2d(3, 5, 3, stride=2), (3, 9, 8)),
    "conv same": (nn.Conv2d(3, 5, (4, 2), padding="same"), (1, 3, 9, 8)),
    "conv valid": (nn.Conv2d(3, 17, 3, padding="valid"), (2, 3, 9, 8)),
    "conv circular": (nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"), (1, 3, 6, 6)),
    "conv with channel multiplier": (nn.Conv2d(5, 15, 3, padding=1, groups=5), (2, 5, 6, 6)),
    "conv in three groups": (nn.Conv2d(9, 15, 3, groups=3), (1, 9, 6, 6)),
    "conv of one pixel": (nn.Conv2d(1, 1, 1), (1, 1, 1, 1)),
    "conv kernel above input": (nn.Conv2d(3, 5, 7, padding=3), (1, 3, 2, 2)),
    "conv dilation above input": (nn.Conv2d(3, 5, 3, padding=9, dilation=9), (1, 3, 4, 4)),
    "upsample 1d": (nn.Upsample(scale_factor=3), (2, 3, 7)),
    "upsample linear 1d": (nn.Upsample(scale_factor=3, mode="linear"), (2, 3, 7)),
}


def one_step(expected: torch.Tensor, actual: torch.Tensor, step: float) -> None:
    """As check_quantized: at most one step, in at most one of 1,000 elements or in one."""
    if expected.is_floating_point():
        steps = ((actual - expected) / step).round().abs()
    else:
        steps = (actual.long() - expected.long()).abs()
    assert int(steps.max()) <= 1
    assert int((steps > 0).sum()) * 1000 <= max(steps.numel(), 1000)


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(IMAGES))
def test_image_operator(names: list[str]) -> None:
    cases = [Small(name, IMAGES[name][0], (torch.randn(IMAGES[name][1]),)) for name in names]
    check_together(cases, close)


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(IMAGES))
def test_quantized_image_operator(names: list[str]) -> None:
    # Each operator between others, as its own result may not be observed.
    between = {name: nn.Sequential(nn.Hardswish(), IMAGES[name][0], nn.Hardswish()) for name in names}
    cases = [Small(name, between[name], (torch.randn(IMAGES[name][1]) * 2,)) for name in names]
    check_together(cases, one_step, quantized=True)


TRANSPOSED = {
    "2 by 2": {"kernel_size": 2, "stride": 2},
    "3 by 3": {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    "4 by 4": {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False},
    "stride 1": {"kernel_size": 3, "padding": 1},
    "stride 1 dilated": {"kernel_size": 3, "dilation": 2, "padding": 1},
    "padding above kernel": {"kernel_size": 2, "padding": 3},
    "dilated": {"kernel_size": (3, 2), "stride": (2, 3), "dilation": (3, 2), "padding": (2, 1)},
    "stride above kernel": {"kernel_size": 2, "stride": 4, "output_padding": 1},
    "much padding": {"kernel_size": 5, "stride": 3, "padding": 5},
    "grouped": {"kernel_size": 3, "stride": 2, "groups": 3},
    "one pixel kernel": {"kernel_size": 1, "stride": 2, "padding": 0},
}


@pytest.mark.forms
@pytest.mark.parametrize("name", TRANSPOSED)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_transposed_convolution(name: str, batch: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = nn.ConvTranspose2d(6, 9, **TRANSPOSED[name])
    x = torch.randn(*batch, 6, 7, 8)
    check_float(model, x)
    check_quantized(model, x)


@pytest.mark.parametrize("is_per_channel", [True, False])
def test_transposed_convolution_per_channel_and_per_tensor(is_per_channel: bool) -> None:
    torch.manual_seed(0)
    model = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
    with torch.no_grad():
        model.weight[:, 1] *= 50
        x = torch.randn(1, 4, 9, 9)
        quantized = common.quantize(model.eval(), [(x,)], (x,), is_per_channel=is_per_channel)
        program, edge = lowered(quantized, (x,))
        steps = operators.steps_of_difference(quantized(x), program(x), quantized)
    assert operators.calls_of(edge) == (1, 0)
    assert int(steps.max()) <= 1
    assert int((steps > 0).sum()) <= 1


def test_batch_norm_behind_transposed_convolution() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5)
    norm.running_mean = torch.randn(5)
    norm.running_var = torch.rand(5) + 0.5
    check_float(nn.Sequential(nn.ConvTranspose2d(3, 5, 4, 2, 1), norm, nn.ReLU()).eval(), torch.randn(1, 3, 5, 5))


@pytest.mark.forms
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 7), (10, 14), (11, 3), (1, 1), (4, 20), (23, 23)])
def test_resampling_to_a_size(mode: str, size: tuple[int, int]) -> None:
    def resampled(corners: bool | None) -> nn.Module:
        return Call(lambda x: functional.interpolate(x, size=size, mode=mode, align_corners=corners))

    corners = [None, True] if mode in ("bilinear", "bicubic") else [None]
    kinds = [(channels, aligned) for channels in (1, 3, 17) for aligned in corners]
    check_together(
        [
            Small(f"{channels} channels, {at}", resampled(at), (torch.randn(2, channels, 5, 7),))
            for channels, at in kinds
        ],
        close,
    )


@pytest.mark.forms
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_resampling_by_a_factor(mode: str) -> None:
    def resampled(scale: float | tuple[float, float]) -> nn.Module:
        return Call(lambda x: functional.interpolate(x, scale_factor=scale, mode=mode))

    scales = [2, 2.3, 0.4, (1.7, 3.0)]
    check_together([Small(f"by {scale}", resampled(scale), (torch.randn(1, 3, 9, 10),)) for scale in scales], close)


REDUCTIONS: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "mean of all": (torch.mean, (3, 4, 5)),
    "mean of a scalar": (lambda x: (x + 1).mean(), ()),
    "mean apart": (lambda x: x.mean((0, 2)), (3, 4, 5)),
    "mean apart kept": (lambda x: x.mean((-1, 0), keepdim=True), (3, 4, 5)),
    "mean over images apart": (lambda x: x.mean((0, 2)), (2, 3, 4, 5)),
    "mean over batch and place": (lambda x: x.mean((0, 2, 3), keepdim=True), (2, 3, 4, 5)),
    "mean of no dimensions": (lambda x: x.mean([]), (3, 4)),
    "sum of all": (torch.sum, (2, 3, 4, 5)),
    "sum last": (lambda x: x.sum(-1), (7, 9)),
    "sum rank 5": (lambda x: x.sum((1, 3)), (2, 3, 4, 5, 2)),
    "amax": (lambda x: x.amax((1, 3), keepdim=True), (2, 3, 4, 5)),
    "amax of channels": (lambda x: x.amax(1), (2, 3, 4, 5)),
    "max of all": (torch.max, (2, 3, 4)),
    "min of all": (torch.min, (2, 3, 4)),
    "amin": (lambda x: x.amin(-2), (2, 3, 4)),
    "argmax": (lambda x: x.argmax(-1), (5, 9)),
    "argmax of channels": (lambda x: x.argmax(1, keepdim=True), (2, 3, 4, 5)),
    "argmax of all": (torch.argmax, (2, 3, 4, 5)),
    "argmin": (lambda x: x.argmin(0), (5, 9)),
    "max of a dimension": (lambda x: x.max(1)[0], (2, 3, 4, 5)),
    "place of the maximum": (lambda x: x.max(1)[1], (2, 3, 4, 5)),
    "place of the minimum": (lambda x: x.min(-1, keepdim=True)[1], (2, 3, 4)),
    "prod": (lambda x: x.prod(1), (3, 4, 5)),
    "prod of all": (torch.prod, (3, 4)),
    "var": (lambda x: x.var((0, 2)), (3, 4, 5)),
    "var biased": (lambda x: x.var(1, correction=0, keepdim=True), (3, 4, 5)),
    "std of all": (torch.std, (3, 4)),
    "var and mean": (lambda x: torch.cat(torch.var_mean(x, (0, 2))), (3, 4, 5)),
    "std of channels and mean": (lambda x: torch.cat(torch.std_mean(x, 1, correction=0)), (2, 3, 4, 5)),
    "mean beside an unused variance": (lambda x: torch.var_mean(x, -1, keepdim=True)[1], (3, 4, 5)),
    "cumsum": (lambda x: x.cumsum(-1), (3, 4, 5)),
    "cumsum of channels": (lambda x: x.cumsum(1), (2, 3, 4, 5)),
    "cumprod": (lambda x: x.cumprod(-1), (3, 4, 5)),
    "cumprod of channels": (lambda x: x.cumprod(1), (2, 3, 4, 5)),
    "topk values": (lambda x: x.topk(3)[0], (4, 9)),
    "topk places": (lambda x: x.topk(3, dim=1, largest=False)[1], (2, 7, 3)),
    "sort": (lambda x: x.sort(0, descending=True)[0], (7, 3)),
    "argsort": (lambda x: torch.argsort(x, stable=True), (7, 13)),
    "sum of an island": (lambda x: torch.sigmoid(x).sum((2, 3)), (1, 3, 4, 5)),
}


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(REDUCTIONS))
def test_reduction(names: list[str]) -> None:
    cases = [Small(name, Call(REDUCTIONS[name][0]), (torch.randn(REDUCTIONS[name][1]),)) for name in names]
    check_together(cases, close)


# Equal 8-bit values have no order of their own in eager PyTorch.
@pytest.mark.forms
@pytest.mark.parametrize("names", parts(name for name in REDUCTIONS if name not in ("topk places", "argsort")))
def test_quantized_reduction(names: list[str]) -> None:
    cases = []
    for name in names:
        function, shape = REDUCTIONS[name]
        x = torch.randn(shape)
        after = nn.Hardswish() if function(x).is_floating_point() else nn.Identity()
        cases.append(Small(name, nn.Sequential(nn.Hardswish(), Call(function), after), (x,)))
    check_together(cases, one_step, quantized=True)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool])
def test_sum_of_integers(dtype: torch.dtype) -> None:
    x = torch.randint(0, 2, (3, 5, 7)).to(dtype)
    functions = {
        "of a dimension": lambda x: x.sum(1),
        "of all": torch.sum,
        "cumsum": lambda x: x.cumsum(-1),
        "cumprod": lambda x: (x + 1).cumprod(0),
        "cumsum in float": lambda x: x.cumsum(1, dtype=torch.float32),
    }
    check_together([Small(name, Call(function), (x,)) for name, function in functions.items()], close)


def test_any_and_all() -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 5, 7) < 0.2
    functions = {
        "any": lambda x: x.any(-1),
        "all": lambda x: x.all(0),
        "any of all": torch.any,
        "all of all": torch.all,
    }
    check_together([Small(name, Call(function), (x,)) for name, function in functions.items()], close)


REFUSED = {
    "used places": (Call(lambda x: functional.max_pool2d(x, 2, return_indices=True)[1]), (1, 3, 4, 4), "places"),
    "3-d convolution": (nn.Conv3d(1, 1, 2), (1, 1, 3, 3, 3), "3-d convolution is not taken"),
    "3-d transposed convolution": (nn.ConvTranspose3d(1, 1, 2), (1, 1, 3, 3, 3), "3-d convolution is not taken"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_says_why(name: str) -> None:
    from openenn.partitioner import EnnPartitioner

    model, shape, reason = REFUSED[name]
    partitioner = EnnPartitioner()
    common.lower(model.eval(), (torch.randn(shape),), partitioner=partitioner)
    assert any(reason in text for text in partitioner.reasons.values()), partitioner.reasons
