"""Models with sizes that only a run knows, against eager PyTorch and the Q/DQ model at sizes all over their ranges."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from executorch.exir import to_edge_transform_and_lower
from torch import nn
from torch.export import Dim, export
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

import common

Inputs = tuple[torch.Tensor, ...]


class Convolutions(nn.Module):
    """Any batch, height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Hardswish(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.features(image)
        return self.head(nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1))


class Attention(nn.Module):
    """Batch and length are written into shapes, and positions are counted from the length."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32)
        self.qkv = nn.Linear(32, 96)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        x = x + torch.arange(length).float()[None, :, None] / 64
        q, k, v = self.qkv(self.norm(x)).reshape(batch, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return y.transpose(1, 2).reshape(batch, length, width)


class FusedAttention(nn.Module):
    """torch's own attention, over batches of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.out = nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.attention(x, x, x, need_weights=False)[0])


class Tokens(nn.Module):
    """Sizes of a convolution's result, which no input has, are written into shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.mix = nn.Linear(16, 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.patches(image)
        batch, width, rows, columns = maps.shape
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = tokens + torch.relu(self.mix(tokens))
        return tokens.transpose(1, 2).reshape(batch, width, rows, columns)


class Upscaled(nn.Module):
    """Sizes that are computed in real numbers: up and down by factors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.out = nn.Conv2d(16, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.conv(image))
        half = nn.functional.interpolate(maps, scale_factor=0.5, mode="nearest")
        back = nn.functional.interpolate(half, scale_factor=2.0, mode="bilinear", align_corners=False)
        return nn.functional.interpolate(self.out(torch.cat([maps, back], 1)), scale_factor=1.5, mode="nearest")


class Recognizer(nn.Module):
    """One-dimensional convolutions over any length."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 8, 25, stride=4), nn.ReLU(), nn.Conv1d(8, 8, 7, padding=3), nn.ReLU(), nn.Conv1d(8, 5, 1)
        )

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        return nn.functional.log_softmax(self.layers(wave), dim=1)


@dataclass(frozen=True)
class Case:
    """A model, the range of each dynamic dimension and the sizes to run."""

    model: Callable[[], nn.Module]
    dynamic_shapes: Any
    example: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]


# torch.export takes a size of 1 behind two halvings for another model.
IMAGE = {0: Dim("batch", min=1, max=4), 2: Dim("height", min=5, max=64), 3: Dim("width", min=5, max=64)}
PATCHES = {2: 4 * Dim("rows", min=2, max=16), 3: 4 * Dim("columns", min=2, max=16)}
SEQUENCE = {0: Dim("batch", min=1, max=8), 1: Dim("length", min=4, max=64)}
CASES = {
    "convolutions": Case(
        Convolutions, IMAGE, (2, 3, 24, 20), ((1, 3, 5, 5), (4, 3, 64, 64), (2, 3, 24, 20), (1, 3, 7, 33), (3, 3, 6, 5))
    ),
    "attention": Case(Attention, SEQUENCE, (2, 10, 32), ((1, 4, 32), (8, 64, 32), (2, 10, 32), (3, 17, 32))),
    "fused attention": Case(
        FusedAttention, {0: Dim("batch", min=1, max=8)}, (2, 10, 32), ((1, 10, 32), (8, 10, 32), (3, 10, 32))
    ),
    "tokens": Case(Tokens, PATCHES, (1, 3, 16, 24), ((1, 3, 8, 8), (1, 3, 64, 64), (1, 3, 16, 24), (1, 3, 8, 60))),
    "upscaled": Case(
        Upscaled,
        {2: 2 * Dim("rows", min=2, max=16), 3: 2 * Dim("columns", min=2, max=16)},
        (1, 3, 16, 24),
        ((1, 3, 4, 4), (1, 3, 32, 32), (1, 3, 16, 24), (1, 3, 6, 30)),
    ),
    "recognizer": Case(
        Recognizer, {2: Dim("samples", min=100, max=400)}, (1, 1, 200), ((1, 1, 100), (1, 1, 400), (1, 1, 333))
    ),
}


def quantize(model: nn.Module, inputs: Inputs, dynamic_shapes: Any) -> nn.Module:
    return common.quantize(model, [inputs], inputs, dynamic_shapes=dynamic_shapes)


def lower(model: nn.Module, inputs: Inputs, dynamic_shapes: Any) -> tuple[Any, EnnPartitioner]:
    partitioner = EnnPartitioner()
    return common.lower(model, inputs, partitioner, dynamic_shapes=dynamic_shapes), partitioner


def calls_of(lowered: Any) -> int:
    return sum("call_delegate" in str(node.target) for node in lowered.exported_program().graph.nodes)


@pytest.mark.forms
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "A8W8"])
@pytest.mark.parametrize("name", CASES)
def test_one_delegate_call_runs_every_size(name: str, quantized: bool) -> None:
    torch.manual_seed(0)
    case = CASES[name]
    inputs, shapes = (torch.randn(case.example),), (case.dynamic_shapes,)
    model = case.model().eval()
    if quantized:
        model = quantize(model, inputs, shapes)
    lowered, partitioner = lower(model, inputs, shapes)
    assert calls_of(lowered) == 1
    assert partitioner.reasons == {}
    operators = [node for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    assert not [
        node
        for node in operators
        if isinstance(node.meta.get("val"), torch.Tensor) and node.target is not operator.getitem
    ]
    program = common.Pte(lowered.to_executorch().buffer)
    for size in case.sizes:
        x = torch.randn(size)
        with torch.no_grad():
            expected = model(x)
        actual = program(x)
        assert actual.shape == expected.shape
        if quantized and "dequantize" in str(model.graph.output_node().all_input_nodes[0].target):
            step = common.output_scale(model)
            assert ((actual - expected).abs() / step).round().max() <= 1, size
        elif quantized:  # the log_softmax at the end stays float: the 8-bit operand may round to the next step
            assert (actual - expected).abs().max() <= 0.5, size
        else:
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.full
def test_the_same_as_exported_for_that_size() -> None:
    """Bit by bit, whatever sizes ran before."""
    torch.manual_seed(0)
    model, inputs = Convolutions().eval(), (torch.randn(2, 3, 24, 20),)
    quantized = quantize(model, inputs, (IMAGE,))
    program = common.Pte(lower(quantized, inputs, (IMAGE,))[0].to_executorch().buffer)
    sizes = [(2, 3, 24, 20), (1, 3, 8, 8), (4, 3, 64, 64), (1, 3, 9, 8), (1, 3, 10, 8), (1, 3, 11, 8), (2, 3, 24, 20)]
    for size in sizes:
        x = torch.randn(size)
        static = common.Pte(lower(quantized, (x,), None)[0].to_executorch().buffer)
        assert torch.equal(program(x), static(x))


def test_quantized_for_one_size_and_exported_for_many() -> None:
    torch.manual_seed(0)
    model, image = Convolutions().eval(), torch.randn(1, 3, 24, 20)
    captured = export(model, (image,), strict=True).module(check_guards=False)
    prepared = prepare_pt2e(captured, EnnQuantizer())
    prepared(image)
    quantized = convert_pt2e(prepared)
    exported = export(quantized, (image.repeat(2, 1, 1, 1),), dynamic_shapes=({0: IMAGE[0]},), strict=True)
    lowered = to_edge_transform_and_lower(exported, partitioner=[EnnPartitioner()])
    assert calls_of(lowered) == 1
    program = common.Pte(lowered.to_executorch().buffer)
    for batch in (1, 3):
        images = torch.randn(batch, 3, 24, 20)
        step = common.output_scale(quantized)
        assert ((program(images) - quantized(images)).abs() / step).round().max() <= 1


class Split(nn.Module):
    """An operator that the engine does not take lies between two that it takes; sizes cross it, and one is a result."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        rows = torch.relu(self.first(x.reshape(-1, 8)))
        rows = rows.masked_scatter(rows > 1.0, rows)
        return self.second(rows).reshape(x.shape[0], x.shape[1], 4), x.shape[1] * 2


def test_partitions_pass_sizes_on() -> None:
    torch.manual_seed(0)
    model, inputs = Split().eval(), (torch.randn(2, 5, 8),)
    shapes = ({0: Dim("a", min=1, max=6), 1: Dim("b", min=1, max=9)},)
    lowered, partitioner = lower(model, inputs, shapes)
    assert calls_of(lowered) == 2
    assert set(partitioner.reasons.values()) == {
        "the operator aten.masked_scatter.default is not among those of the engine"
    }
    program = common.Pte(lowered.to_executorch().buffer)
    for size in ((1, 1), (6, 9), (2, 5), (3, 4)):
        x = torch.randn(*size, 8)
        actual, doubled = program.outputs(x)
        expected, _ = model(x)
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
        assert doubled == 2 * size[1]


class Selected(nn.Module):
    """How many rows are left is the value of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(8, 8)
        self.after = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        rows = count.item()
        torch._check(rows >= 1)
        torch._check(rows <= x.shape[0])
        return self.after(torch.relu(self.before(x))[:rows])


def test_sizes_that_depend_on_values_are_left_to_others() -> None:
    torch.manual_seed(0)
    model, inputs = Selected().eval(), (torch.randn(6, 8), torch.tensor(3))
    lowered, partitioner = lower(model, inputs, ({0: Dim("rows", min=1, max=16)}, None))
    assert any("depends on" in reason for reason in partitioner.reasons.values())
    assert calls_of(lowered) == 1
    program = common.Pte(lowered.to_executorch().buffer)
    for rows, count in ((1, 1), (6, 3), (16, 16)):
        x = torch.randn(rows, 8)
        expected = model(x, torch.tensor(count))
        torch.testing.assert_close(program(x, torch.tensor(count)), expected, rtol=1e-5, atol=1e-6)


def test_sizes_out_of_the_range_end_in_an_error() -> None:
    model, inputs = Tokens().eval(), (torch.randn(1, 3, 16, 16),)
    program = common.Pte(lower(model, inputs, (PATCHES,))[0].to_executorch().buffer)
    for size in ((1, 3, 128, 128), (2, 3, 16, 16), (1, 3, 16, 18)):
        with pytest.raises(RuntimeError):
            program(torch.randn(size))
    assert program(*inputs).shape == (1, 16, 4, 4)


@pytest.mark.parametrize("name", ["attention", "fused attention"])
def test_explanations_are_those_of_one_size(name: str) -> None:
    case = CASES[name]
    model, inputs = case.model().eval(), (torch.randn(case.example),)
    quantizer = EnnQuantizer()
    prepare_pt2e(export(model, inputs, dynamic_shapes=(case.dynamic_shapes,)).module(), quantizer)
    dynamic = {row.name: (row.decision, row.operator) for row in quantizer.explain().rows}
    prepare_pt2e(export(model, inputs).module(), quantizer)
    static = {row.name: (row.decision, row.operator) for row in quantizer.explain().rows}
    assert dynamic == static
    _, partitioner = lower(model, inputs, (case.dynamic_shapes,))
    assert {row.decision for row in partitioner.explain().rows} == {"passed in", "delegated"}
