"""Repairs: channels of like range, ranges chosen by the outputs' error, both doors."""

import json

import numpy as np
import pytest
import torch
from test_enn_command import enn
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

import openenn
from openenn import EnnQuantizer, InvalidArgumentError, pt2e


class Uneven(nn.Module):
    """Channels whose ranges differ a hundredfold, in the way of the batch norms of trained networks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.last = nn.Conv2d(16, 4, 1)
        with torch.no_grad():
            self.norm.weight.copy_(torch.logspace(-2, 0, 16))
            self.norm.bias.copy_(0.5 * torch.logspace(-2, 0, 16))
            self.depthwise.weight.div_(torch.logspace(-2, 0, 16).view(-1, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.last(torch.relu(self.depthwise(x)))


def samples(count: int) -> list[tuple[torch.Tensor]]:
    return [(torch.randn(1, 3, 16, 16),) for _ in range(count)]


@pytest.fixture
def uneven() -> nn.Module:
    torch.manual_seed(0)
    return Uneven().eval()


def sqnr(expected: torch.Tensor, actual: torch.Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (expected - actual).square().sum()))


def test_equalizing_changes_no_result_and_not_the_model(uneven: nn.Module) -> None:
    data = samples(8)
    before = {name: tensor.clone() for name, tensor in uneven.state_dict().items()}
    equalized = openenn.equalize(uneven, data)
    assert all(torch.equal(tensor, before[name]) for name, tensor in uneven.state_dict().items())
    for (x,) in samples(4):
        torch.testing.assert_close(equalized(x), uneven(x), rtol=1e-4, atol=1e-5)


def test_a_module_that_fx_traced_is_an_eager_one(uneven: nn.Module) -> None:
    traced, data = torch.fx.symbolic_trace(uneven), samples(4)
    (x,) = data[0]
    torch.testing.assert_close(openenn.equalize(traced, data)(x), uneven(x), rtol=1e-4, atol=1e-5)
    assert openenn.analyze(traced, data).samples == 4
    torch.testing.assert_close(openenn.quantize(traced, data).module(x), openenn.quantize(uneven, data).module(x))


def test_equalizing_serves_small_channels(uneven: nn.Module) -> None:
    data, others = samples(8), torch.cat([x for (x,) in samples(8)])
    exact = uneven(others)

    def quantized(model: nn.Module) -> float:
        prepared = pt2e.prepare_pt2e(model, EnnQuantizer())
        for sample in data:
            prepared(*sample)
        converted = pt2e.convert_pt2e(prepared)
        return sqnr(exact, torch.cat([converted(x[None]) for x in others]))

    plain = quantized(torch.export.export(uneven, data[0]).module())
    assert quantized(openenn.equalize(uneven, data)) > plain + 6


def test_repairs_serve_and_both_doors_agree(uneven: nn.Module, tmp_path) -> None:
    data, others = samples(8), torch.cat([x for (x,) in samples(8)])
    exact = uneven(others)
    plain = openenn.quantize(uneven, data).module
    repaired = openenn.quantize(uneven, data, repair=True)
    result = torch.cat([repaired.module(x[None]) for x in others])
    assert sqnr(exact, result) > sqnr(exact, torch.cat([plain(x[None]) for x in others])) + 6
    assert json.loads(repaired.recipe)["repair"] is True

    torch.export.save(torch.export.export(uneven, data[0]), tmp_path / "model.pt2")
    np.save(tmp_path / "data.npy", torch.cat([x for (x,) in data]).numpy())
    repaired.save_recipe(tmp_path / "recipe.json")
    for option in (["--repair"], ["--recipe", tmp_path / "recipe.json"]):
        archive = (tmp_path / "model.pt2", "-o", tmp_path / "q.pt2")
        enn("quantize", *archive, "--calibration", tmp_path / "data.npy", *option)
        other_door = torch.export.load(tmp_path / "q.pt2").module()
        torch.testing.assert_close(torch.cat([other_door(x[None]) for x in others]), result, rtol=0, atol=0)


def test_one_sample_after_the_other_is_refused(uneven: nn.Module, tmp_path) -> None:
    quantizer = EnnQuantizer()
    quantizer.set_repair(True)
    exported = torch.export.export(uneven, samples(1)[0])
    for prepare in (prepare_pt2e, pt2e.prepare_pt2e):
        with pytest.raises(InvalidArgumentError, match=r"openenn\.quantize\(\)"):
            prepare(exported.module(), quantizer)
    torch.export.save(exported, tmp_path / "model.pt2")
    np.save(tmp_path / "x.npy", samples(1)[0][0].numpy())
    data = ("--calibration", tmp_path / "x.npy", "--save-statistics", tmp_path / "s.json")
    message = enn("quantize", tmp_path / "model.pt2", "-o", tmp_path / "q.pt2", "--repair", *data, code=1)
    assert "--save-statistics" in message
    assert not (tmp_path / "q.pt2").exists()
