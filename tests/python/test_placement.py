"""Quantizing an archive in C++ and the same model with torchao: the same calls of quantize and dequantize.

Weights and inputs are small multiples of powers of two, so that every sum is exact, whatever its order.
"""

from collections import Counter
from pathlib import Path

import pytest
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn
from torch.fx import Node
from torch.nn import functional

import common
from openenn import _core


class Inverted(nn.Module):
    """MobileNetV2's block, twice; its pool and classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, 8, 1),
                nn.ReLU6(),
                nn.Conv2d(8, 8, 3, padding=1, groups=8),
                nn.ReLU6(),
                nn.Conv2d(8, 4, 1),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = functional.relu6(self.norm(self.stem(x)))
        for block in self.blocks:
            x = x + block(x)
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Branches(nn.Module):
    """Split, convolved, joined in another order, added to what it came from; two outputs, one of them read on."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(2, 2, 3, padding=1)
        self.right = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        left, right = x.split(2, 1)
        joined = torch.cat([self.right(right), functional.relu(self.left(left))], 1)
        total = functional.relu(joined + x)
        return functional.max_pool2d(total, 2), total * 0.5


class Shared(nn.Module):
    """One convolution called twice, one weight of two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.linear = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.linear.weight

    def forward(self, x, y):
        x = self.conv(functional.relu(self.conv(x)))
        return self.tied(functional.relu(self.linear(x))) - y


class Decoder(nn.Module):
    """Transposed convolution, nearest and averaged neighbours, padding, a clamp that begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 2, stride=2)
        self.conv = nn.Conv2d(4, 2, 3)

    def forward(self, x):
        x = functional.pad(functional.interpolate(self.up(x), scale_factor=2.0), (1, 1, 1, 1))
        return functional.avg_pool2d(self.conv(x).clamp(0, 3), 2).permute(0, 2, 3, 1)


class Tokens(nn.Module):
    """Attention, a norm, a gelu: functions whose last bits differ between engines."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.feed = nn.Linear(8, 8)

    def forward(self, x):
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return x + functional.gelu(self.feed(x))


IMAGE = (1, 2, 4, 4)
MODELS = {
    "inverted": (Inverted, [(1, 3, 8, 8)], 0.0),
    "branches": (Branches, [(1, 4, 6, 6)], 0.0),
    "shared": (Shared, [IMAGE, IMAGE], 0.0),
    "decoder": (Decoder, [IMAGE], 0.0),
    "tokens": (Tokens, [(1, 5, 8)], 1e-5),
}


def coarse(*shape: int, steps: int = 8) -> torch.Tensor:
    return torch.randint(-steps, steps + 1, shape) / float(steps)


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = kind().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(coarse(*parameter.shape, steps=2))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                # 1 / sqrt(variance + eps) = 2
                module.eps = 2.0**-4
                module.running_var.fill_(2.0**-2 - module.eps)
                module.running_mean.copy_(coarse(*module.running_mean.shape))
    return model


def quantization(program: torch.export.ExportedProgram) -> list[tuple]:
    """What each call of quantize and dequantize does, and to which operator's operand or result."""
    constants = {**program.state_dict, **program.constants}
    signature = program.graph_signature
    names = signature.inputs_to_parameters | signature.inputs_to_buffers | signature.inputs_to_lifted_tensor_constants

    def value(item):
        if not isinstance(item, Node):
            return str(item) if isinstance(item, torch.dtype) else item
        return tuple(constants[names[item.name]].tolist()) if item.name in names else None

    def operator(node: Node) -> str:
        return "constant" if node.name in names else node.op if node.op == "placeholder" else str(node.target)

    def readers(node: Node) -> tuple[str, ...]:
        # torchao leaves calls behind that nothing reads.
        return tuple(sorted(operator(user) for user in node.users if user.users or user.op == "output"))

    return [
        (str(node.target), operator(node.args[0]), readers(node), *map(value, node.args[1:]))
        for node in program.graph.nodes
        if str(node.target).startswith("quantized_decomposed") and node.users
    ]


@pytest.mark.forms
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_an_archive_is_quantized_as_torchao_does(name: str, per_channel: bool, tmp_path: Path) -> None:
    kind, shapes, tolerance = MODELS[name]
    model = made(kind)
    samples = [tuple(coarse(*shape) for shape in shapes) for _ in range(3)]
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", per_channel, False)
    expected = torch.export.export(common.quantize(model, samples, samples[0], quantizer), samples[0])

    torch.export.save(torch.export.export(model, samples[0]), tmp_path / "float.pt2")
    core = _core.EnnQuantizer()
    core.set_quant_params("A8W8", per_channel, False)
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(tmp_path / "float.pt2")), core)
    for sample in samples:
        prepared.run([tensor.numpy() for tensor in sample])
    _core.convert_pt2e(prepared).exported_program.save(str(tmp_path / "quantized.pt2"))
    loaded = torch.export.load(tmp_path / "quantized.pt2")

    ours, theirs = quantization(loaded), quantization(expected)
    assert len(theirs) > 4
    if tolerance == 0.0:
        assert Counter(ours) == Counter(theirs)
        for actual, wanted in zip(loaded.module()(*samples[1]), expected.module()(*samples[1]), strict=True):
            assert torch.equal(actual, wanted)
        return
    assert Counter(call[:3] for call in ours) == Counter(call[:3] for call in theirs)

    def scales(calls: list[tuple]) -> list[float]:
        found = (call[3] for call in calls if "per_tensor" in call[0])
        return sorted(found)

    assert scales(ours) == pytest.approx(scales(theirs), rel=tolerance)
