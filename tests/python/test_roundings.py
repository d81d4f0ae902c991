"""What is rounded once, or not at all, on the way through a trained network's structures, against eager PyTorch."""

import torch
from torch import nn
from torch.fx import GraphModule
from torch.nn import functional

import common


def quantizations(model: GraphModule) -> int:
    """How many values the converted model rounds while it runs."""
    return sum(
        "quantize_per_tensor" in str(node.target) and "dequantize" not in str(node.target) for node in model.graph.nodes
    )


def sqnr(expected: torch.Tensor, actual: torch.Tensor) -> float:
    noise = (expected - actual).square().sum()
    return float(10 * torch.log10(expected.square().sum() / noise))


class Chain(nn.Module):
    """A learned affine map of scalars, a bound and a product, of one value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = (x * 0.37 - 0.21).clamp(-0.5, 0.9)
        return torch.tanh(y * x + 0.1)


class SmallWeights(nn.Module):
    """Batch norms of a large variance fold to weights far below 2^-12 * 127."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)
        assert self.norm.running_var is not None
        self.norm.running_var.fill_(1e8)
        self.norm.bias.data.fill_(1e-4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.norm(self.first(x)))) * 1e4


class Detector(nn.Module):
    """Boxes up to 640 beside scores below 1 in one output."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes, self.scores = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.sigmoid(self.boxes(x)) * 640, torch.sigmoid(self.scores(x)) * 0.5], dim=1)


class WrittenOut(nn.Module):
    """hardswish, silu and gelu as models from ONNX write them, each after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers[0](x)
        x = x * (x + 3).clamp(0, 6) / 6
        x = self.layers[1](x)
        x = x * torch.sigmoid(x)
        x = self.layers[2](x)
        return x * (torch.erf(x / 2**0.5) + 1) * 0.5


class Named(WrittenOut):
    """The same functions as operators."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.hardswish(self.layers[0](x))
        x = functional.silu(self.layers[1](x))
        return functional.gelu(self.layers[2](x))


def quantized_and_program(
    kind: type[nn.Module], *shape: int
) -> tuple[GraphModule, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The converted model, and what eager PyTorch, it and the program give for a sample that calibrated nothing."""
    torch.manual_seed(0)
    samples = [torch.randn(*shape) for _ in range(5)]
    model = kind().eval()
    inputs = (samples[0],)
    converted = common.quantize(model, samples[:4], inputs)
    pte = common.Pte(common.lower(converted, inputs).to_executorch().buffer)
    with torch.no_grad():
        return converted, model(samples[4]), converted(samples[4]), pte(samples[4])


def test_an_elementwise_graph_of_one_value_is_rounded_once() -> None:
    converted, exact, expected, actual = quantized_and_program(Chain, 1, 8, 16, 16)
    assert quantizations(converted) == 2  # the input and the result
    assert torch.equal(expected, actual)
    # No other noise than that of the input's rounding and the result's, by plain arithmetic.
    torch.manual_seed(0)
    sample = [torch.randn(1, 8, 16, 16) for _ in range(5)][4]
    (scale, zero_point), (last_scale, last_zero_point) = (
        node.args[1:3]
        for node in converted.graph.nodes
        if "quantize_per_tensor" in str(node.target) and "dequantize" not in str(node.target)
    )
    rounded = torch.fake_quantize_per_tensor_affine(sample, scale, zero_point, -128, 127)
    once = torch.fake_quantize_per_tensor_affine(Chain()(rounded), last_scale, last_zero_point, -128, 127)
    assert float((once - actual).abs().max()) <= last_scale * 1.001
    assert sqnr(exact, actual) > sqnr(exact, once) - 0.1


def test_written_out_functions_are_rounded_as_the_operators_are() -> None:
    converted, exact, expected, actual = quantized_and_program(WrittenOut, 1, 4, 8, 8)
    named, named_exact, _, named_actual = quantized_and_program(Named, 1, 4, 8, 8)
    assert quantizations(converted) == quantizations(named) == 4
    assert float((expected - actual).abs().max()) <= common.output_scale(converted) * 1.001
    torch.testing.assert_close(exact, named_exact)
    assert float((actual - named_actual).abs().max()) <= common.output_scale(converted) * 1.001


def test_small_weights_keep_their_steps() -> None:
    _, exact, _, actual = quantized_and_program(SmallWeights, 1, 3, 16, 16)
    assert sqnr(exact, actual) > 30  # 0.8 dB with upstream's floor


def test_scores_beside_boxes_keep_their_own_scale() -> None:
    _, exact, _, actual = quantized_and_program(Detector, 1, 3, 16, 16)
    assert sqnr(exact[:, 4:], actual[:, 4:]) > 35
    assert sqnr(exact[:, :4], actual[:, :4]) > 35


def test_a_cell_keeps_its_state() -> None:
    """64 steps of an LSTM cell, each from the state before: only what the layers read is rounded."""
    torch.manual_seed(0)
    model = nn.LSTM(8, 16, batch_first=True).eval()
    samples = [torch.randn(8, 64, 8) for _ in range(3)]
    converted = common.quantize(model, samples[:2], (samples[0],))
    assert quantizations(converted) == 65  # the sequence, the first state and those between the steps
    with torch.no_grad():
        exact, actual = model(samples[2])[0], converted(samples[2])[0]
    assert sqnr(exact[:, -8:], actual[:, -8:]) > 30
