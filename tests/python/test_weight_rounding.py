"""Learned rounding of weights: less error than nearest, the same through both doors, kept and merged as statistics."""

from pathlib import Path

import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from torch import nn
from torchao.quantization.pt2e import quantize_pt2e as torchao_pt2e

from openenn import _core, pt2e


class Network(nn.Module):
    """Each kind of layer, with a bias and without, and a weight that two layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.project = nn.Conv2d(24, 32, 1, bias=False)
        self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.shared = nn.Linear(16, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.project(self.depthwise(self.norm(self.stem(x)).relu()).relu())
        x = self.up(x).relu().mean((2, 3))
        return self.head(self.shared(self.shared(x).relu()).relu())


@pytest.fixture(scope="module")
def exported() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return torch.export.export(Network().eval(), (torch.randn(1, 3, 16, 16),))


def samples(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(count, 1, 3, 18, 18, generator=generator)
    # Neighbours are alike, as in pictures.
    return [nn.functional.avg_pool2d(sample, 3, 1) for sample in noise]


def quantizer(rounding: str, corrects: bool = True) -> EnnQuantizer:
    quantizer = EnnQuantizer()
    quantizer.set_weight_rounding(rounding)
    quantizer.set_bias_correction(corrects)
    return quantizer


def prepared(flow, exported, rounding: str, corrects: bool = True):
    model = flow.prepare_pt2e(exported.module(), quantizer(rounding, corrects))
    with torch.no_grad():
        for sample in samples(12):
            model(sample)
    return model


def integers_of(converted: torch.nn.Module) -> list[torch.Tensor]:
    tensors = [*converted.parameters(), *converted.buffers()]
    return [tensor for tensor in tensors if tensor.dtype == torch.int8]


def error_of(exported, converted) -> float:
    float_model = exported.module()
    with torch.no_grad():
        return float(sum((converted(sample) - float_model(sample)).square().sum() for sample in samples(12)))


def test_both_flows_learn_the_same_and_lose_less(exported) -> None:
    converted = {
        name: [flow.convert_pt2e(prepared(flow, exported, rounding)) for rounding in ("nearest", "learned")]
        for name, flow in (("torchao", torchao_pt2e), ("engine", pt2e))
    }
    for nearest, learned in converted.values():
        assert not [name for name, _ in learned.named_modules() if "rounder" in name]
        assert not [node for node in learned.graph.nodes if "rounder" in str(node.target)]
        same = [torch.equal(a, b) for a, b in zip(integers_of(nearest), integers_of(learned), strict=True)]
        # The transposed convolution's and the shared weight stay as they are.
        assert same.count(True) == 2
        assert error_of(exported, learned) < error_of(exported, nearest)
    for ours, torchs in zip(integers_of(converted["engine"][1]), integers_of(converted["torchao"][1]), strict=True):
        # PyTorch's convolutions sum in another order, so a weight between two integers may go the other way.
        assert (ours != torchs).float().mean() < 0.01


@pytest.mark.parametrize("corrects", [True, False])
def test_both_doors_give_the_same_program(exported, corrects: bool, tmp_path: Path) -> None:
    model = prepared(pt2e, exported, "learned", corrects)
    python = pt2e.convert_pt2e(model)
    torch.export.save(exported, tmp_path / "model.pt2")
    core = _core.EnnQuantizer.from_json(quantizer("learned", corrects).to_json())
    program = _core.ExportedProgram.load(str(tmp_path / "model.pt2"))
    doors = [_core.prepare_pt2e(program, core) for _ in range(3)]
    for i, sample in enumerate(samples(12)):
        doors[0].run([sample.numpy()])
        doors[1 + i % 2].run([sample.numpy()])
    quantized = _core.convert_pt2e(doors[0]).exported_program
    quantized.save(str(tmp_path / "quantized.pt2"))
    loaded = torch.export.load(tmp_path / "quantized.pt2")
    theirs = [tensor for tensor in loaded.state_dict.values() if tensor.dtype == torch.int8]
    key = lambda tensor: (tensor.shape, tensor.flatten().tolist())  # noqa: E731
    assert sorted(map(key, theirs)) == sorted(map(key, integers_of(python)))
    with torch.no_grad():
        assert torch.equal(loaded.module()(samples(1)[0]), python.forward(samples(1)[0]))

    # Statistics of two machines, merged.
    doors[1].merge_statistics(doors[2].statistics())
    _core.convert_pt2e(doors[1]).exported_program.save(str(tmp_path / "merged.pt2"))
    merged = torch.export.load(tmp_path / "merged.pt2").module()
    with torch.no_grad():
        difference = (merged(samples(1)[0]) - python.forward(samples(1)[0])).abs().max()
        assert difference < python.forward(samples(1)[0]).abs().max() / 20
    with pytest.raises(_core.EnnError, match="another configuration"):
        _core.prepare_pt2e(program, _core.EnnQuantizer()).merge_statistics(doors[2].statistics())


@pytest.mark.parametrize("flow", [torchao_pt2e, pt2e], ids=["torchao", "engine"])
def test_what_was_seen_is_saved_with_the_model(flow, exported) -> None:
    model = prepared(flow, exported, "learned")
    fresh = flow.prepare_pt2e(exported.module(), quantizer("learned"))
    fresh.load_state_dict(model.state_dict())
    for ours, theirs in zip(*(integers_of(flow.convert_pt2e(item)) for item in (fresh, model)), strict=True):
        assert torch.equal(ours, theirs)
