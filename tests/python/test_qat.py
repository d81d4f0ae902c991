"""Quantization-aware training: batch norms fold away, settings survive, the program equals the converted model."""

import copy
from collections import Counter

import pytest
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn
from torch.utils import _pytree as pytree
from torchao.quantization.pt2e import (
    allow_exported_model_train_eval,
    move_exported_model_to_eval,
    move_exported_model_to_train,
)
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

import common
from openenn import qat

EPS, MOMENTUM, DROPOUT = 1e-3, 0.03, 0.25


def quantizer(is_per_channel: bool = True) -> EnnQuantizer:
    result = EnnQuantizer()
    result.set_quant_params("A8W8", is_per_channel, True)
    return result


def prepared(model: nn.Module, inputs: tuple, is_per_channel: bool = True) -> torch.fx.GraphModule:
    exported = torch.export.export(copy.deepcopy(model).train(), inputs).module()
    return prepare_qat_pt2e(exported, quantizer(is_per_channel))


def trained(model: nn.Module, inputs: tuple, is_per_channel: bool = True, steps: int = 3) -> torch.fx.GraphModule:
    """The converted model after some steps of training."""
    module = prepared(model, inputs, is_per_channel)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(result.square().mean() for result in module(*inputs)).backward()
        optimizer.step()
    move_exported_model_to_eval(module)
    return convert_pt2e(module)


def calls(module: torch.fx.GraphModule) -> Counter:
    return Counter(str(node.target) for node in module.graph.nodes if node.op == "call_function")


def nodes(module: torch.fx.GraphModule, target: str) -> list[torch.fx.Node]:
    return [node for node in module.graph.nodes if str(node.target).startswith(target)]


def check_program(quantized: torch.fx.GraphModule, inputs: tuple) -> None:
    """One delegate call whose results are the converted model's within a step, in at most one of 1,000 elements."""
    edge = common.lower(quantized, inputs)
    targets = [str(node.target) for node in edge.exported_program().graph.nodes if node.op == "call_function"]
    assert [target for target in targets if "getitem" not in target] == ["executorch_call_delegate"]
    pte = common.Pte(edge.to_executorch().buffer)
    with torch.no_grad():
        expected = pytree.tree_leaves(quantized(*inputs))
    for i, last in enumerate(quantized.graph.output_node().all_input_nodes):
        steps = ((pte.outputs(*inputs)[i] - expected[i]) / last.args[1]).round().abs()
        assert steps.max() <= 1, i
        assert (steps > 0).sum() * 1000 <= max(steps.numel(), 1000), i


class Branches(nn.Module):
    """Modules side by side, on an image, on its rows and on a matrix; torchao's conversion takes long."""

    def __init__(self, images: list[nn.Module], rows: list[nn.Module], matrices: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.ModuleList(part) for part in (images, rows, matrices))

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        return [branch(x) for part, x in zip(self.parts, inputs, strict=True) for branch in part]


INPUTS = ((4, 8, 20, 20), (4, 8, 40), (32, 32))


def activations() -> list[nn.Module]:
    relus = [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardtanh(0.0, 4.0)]
    return [nn.Identity(), *relus, nn.Hardswish(), nn.SiLU(), nn.LeakyReLU(0.1)]


@pytest.mark.forms
@pytest.mark.parametrize("is_per_channel", [True, False])
def test_batch_norms_fold_as_in_post_training_quantization(is_per_channel: bool) -> None:
    images = [
        nn.Sequential(nn.Conv2d(8, 16, 3, bias=i % 2 == 0), nn.BatchNorm2d(16), activation)
        for i, activation in enumerate(activations())
    ]
    images.append(nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU()))
    rows = [nn.Sequential(nn.Conv1d(8, 16, 3), nn.BatchNorm1d(16), nn.ReLU())]
    matrices = [
        nn.Sequential(nn.Linear(32, 64, bias=bias), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 8))
        for bias in (True, False)
    ]
    model = Branches(images, rows, matrices)
    # Scales of either sign, and zero.
    for part in matrices:
        nn.init.uniform_(part[1].weight, -1.0, 1.0)
        part[1].weight.data[0] = 0.0
    inputs = tuple(torch.randn(*shape) for shape in INPUTS)
    quantized = trained(model, inputs, is_per_channel)
    expected = common.quantize(copy.deepcopy(model).eval(), [inputs], inputs, is_per_channel=is_per_channel)
    # In training torchao folds no batch norm into a linear layer; the compiler does.
    assert calls(quantized) - calls(expected) == Counter({"aten.batch_norm.default": len(matrices)})
    assert calls(expected) - calls(quantized) == Counter()
    check_program(quantized, inputs)


class Twice(nn.Module):
    """A convolution whose result has two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convolution(x)
        return nn.functional.relu(self.norm(x)) + x


class Again(nn.Module):
    """A convolution and its batch norm, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(self.block(x))


@pytest.mark.full
def test_other_batch_norms_lower_too() -> None:
    images = [Twice(), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(8), nn.ReLU()), Again()]
    images.append(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8, affine=False)))
    images.append(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)))
    nn.init.zeros_(images[-1][1].weight)  # as the last of a residual block begins: torchao divides by it
    images += [nn.Sequential(nn.ConvTranspose2d(8, 8, 3, groups=groups), nn.BatchNorm2d(8)) for groups in (1, 2, 8)]
    model = Branches(images, [nn.Sequential(nn.ReLU(), nn.BatchNorm1d(8))], [nn.BatchNorm1d(32)])
    inputs = tuple(torch.randn(*shape) for shape in INPUTS)
    check_program(trained(model, inputs), inputs)


@pytest.fixture
def model_with_settings() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8, eps=EPS, momentum=MOMENTUM),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Flatten(),
        nn.Linear(8 * 36, 10),
        nn.BatchNorm1d(10, eps=10 * EPS, momentum=MOMENTUM),
    )


def settings(module: torch.fx.GraphModule) -> tuple[list, list]:
    norms = [tuple(node.args[5:8]) for node in nodes(module, "aten.batch_norm")]
    return norms, [tuple(node.args[1:3]) for node in nodes(module, "aten.dropout")]


def test_switching_keeps_the_settings_of_batch_norms_and_dropouts(model_with_settings: nn.Module) -> None:
    module = prepared(model_with_settings, (torch.randn(8, 3, 8, 8),))

    def expected(training: bool) -> tuple[list, list]:
        return [(training, MOMENTUM, EPS), (training, MOMENTUM, 10 * EPS)], [(DROPOUT, training)]

    assert settings(module) == expected(True)
    for candidate in (module, copy.deepcopy(module)):
        for _ in range(2):
            move_exported_model_to_eval(candidate)
            assert settings(candidate) == expected(False)
            move_exported_model_to_train(candidate)
            assert settings(candidate) == expected(True)
        allow_exported_model_train_eval(candidate)
        candidate.eval()
        assert settings(candidate) == expected(False)
        candidate.train()
        assert settings(candidate) == expected(True)


def test_an_untrained_model_is_the_float_model_with_rounding(model_with_settings: nn.Module) -> None:
    """With another eps than the model's the folded weights would be others."""
    model = model_with_settings.eval()
    for norm in model.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm.running_var.fill_(1e-3)  # as large as eps
    inputs = (torch.randn(8, 3, 8, 8),)
    module = prepared(model, inputs)
    qat.calibrate(module, [inputs])
    move_exported_model_to_eval(module)
    quantized = convert_pt2e(module)
    with torch.no_grad():
        expected, actual = model(*inputs), quantized(*inputs)
    assert (actual - expected).norm() < 0.02 * expected.norm()


def evaluated(model: nn.Module, inputs: tuple, attentions: int) -> torch.fx.GraphModule:
    """The converted model, which is compared with the float model: nothing random is left in it."""
    module = prepared(model, inputs)
    assert calls(module)["aten.dropout.default"] == 4 * attentions
    assert calls(module)["aten.scaled_dot_product_attention.default"] == 0
    qat.calibrate(module, [inputs])
    assert not torch.equal(module(*inputs), module(*inputs))
    move_exported_model_to_eval(module)
    quantized = convert_pt2e(module)
    with torch.no_grad():
        expected, actual = model.eval()(*inputs), quantized(*inputs)
        assert torch.equal(quantized(*inputs), actual)
    assert (actual - expected).norm() < 0.05 * expected.norm()
    return quantized


def test_attention_with_dropout_is_quantized() -> None:
    """Dropout is the default of its layers; torch.export writes it into the attention."""
    model = nn.Sequential(nn.TransformerEncoderLayer(16, 2, 32, dropout=0.9, batch_first=True), nn.Linear(16, 16))
    inputs = (torch.randn(2, 6, 16),)
    check_program(evaluated(model, inputs, 1), inputs)


def test_what_torchao_does_not_switch_to_evaluation_is_switched() -> None:
    random = [nn.Dropout2d(0.9), nn.AlphaDropout(0.9), nn.FeatureAlphaDropout(0.9), nn.RReLU(0.1, 0.9)]
    model = nn.Sequential(nn.Conv2d(3, 8, 3), *random, nn.Conv2d(8, 4, 1))
    evaluated(model, (torch.randn(2, 3, 8, 8),), 0)


def ranges(quantized: torch.fx.GraphModule) -> list[float]:
    """Scales and zero points of activations and weights, sorted."""
    found = nodes(quantized, "quantized_decomposed.dequantize_per_tensor")
    return sorted(number for node in found for number in node.args[1:3])


@pytest.mark.full
def test_calibration_gives_the_ranges_of_post_training_quantization() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    samples = [(torch.randn(8, 3, 12, 12) * factor,) for factor in (1.0, 3.0, 2.0)]
    for _ in range(5):
        model(*samples[0])
    module = prepared(model, samples[0], is_per_channel=False)
    statistics = [buffer.clone() for name, buffer in module.named_buffers() if "running" in name]
    qat.calibrate(module, samples)
    after = [buffer for name, buffer in module.named_buffers() if "running" in name]
    assert all(torch.equal(a, b) for a, b in zip(statistics, after, strict=True))
    move_exported_model_to_eval(module)
    expected = common.quantize(copy.deepcopy(model).eval(), samples, samples[0], is_per_channel=False)
    assert ranges(convert_pt2e(module)) == pytest.approx(ranges(expected), rel=1e-4)
