"""openenn.pt2e in the place of torchao's prepare_pt2e and convert_pt2e: the same models, run by the engine."""

import copy
import os

import numpy as np
import pytest
import torch
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from torch import nn
from torchao.quantization.pt2e import quantize_pt2e as torchao_pt2e

import common
from openenn import _core, pt2e

QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default


class Small(nn.Module):
    """A convolution, a residual sum and a linear layer whose float results are exact in any order of the sums."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, 5)
        for parameter in self.parameters():
            parameter.data = torch.randint(-3, 4, parameter.shape).float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        return self.last((x + self.second(x)).relu().amax((2, 3)))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


def samples(count: int = 3) -> list[torch.Tensor]:
    return [torch.randint(-4, 5, (2, 3, 8, 8)).float() for _ in range(count)]


def quantizer() -> EnnQuantizer:
    chosen = EnnQuantizer()
    chosen.set_quant_params("A8W8", True, False)
    return chosen


def exported(model: nn.Module, sample: torch.Tensor) -> torch.fx.GraphModule:
    return torch.export.export(model, (sample,)).module()


def scales(module: torch.fx.GraphModule) -> list[tuple]:
    return [node.args[1:] for node in module.graph.nodes if node.target == QUANTIZE]


def test_the_model_is_torchaos(model: nn.Module) -> None:
    data = samples()
    engine = pt2e.prepare_pt2e(exported(model, data[0]), quantizer(), threads=2)
    eager = torchao_pt2e.prepare_pt2e(exported(model, data[0]), quantizer())
    with torch.no_grad():
        for sample in data:
            assert torch.equal(engine(sample), eager(sample))
        ours, theirs = pt2e.convert_pt2e(engine), torchao_pt2e.convert_pt2e(eager)
        assert len(scales(ours)) > 4
        assert scales(ours) == scales(theirs)
        assert [node.target for node in ours.graph.nodes] == [node.target for node in theirs.graph.nodes]
        expected = theirs(data[0])
        step = common.output_scale(theirs)
        assert (ours(data[0]) - expected).abs().max() <= step
        again = torch.export.export(ours, (data[0],)).module()
        assert torch.equal(again(data[0]), expected)


def test_integer_execution_is_the_delegates(model: nn.Module) -> None:
    data = samples()
    prepared = pt2e.prepare_pt2e(exported(model, data[0]), quantizer())
    for sample in data:
        prepared(sample)
    quantized = pt2e.convert_pt2e(prepared, execution="integer")
    program = common.Pte(common.lower(quantized, (data[0],)).to_executorch().buffer)
    for sample in data:
        assert torch.equal(quantized(sample), program(sample))


def test_arrays_of_numpy_are_taken(model: nn.Module) -> None:
    data = samples()
    prepared = pt2e.prepare_pt2e(exported(model, data[0]), quantizer())
    with torch.no_grad():
        expected = model(data[0])
    assert torch.equal(prepared(data[0].numpy()), expected)
    with pytest.raises(_core.EnnError, match=r"float64\[2, 3, 8, 8\], expected float32"):
        prepared(data[0].numpy().astype(np.float64))


@pytest.mark.parametrize("observer", ["percentile", "mse", "kl"])
def test_observers_that_torchao_lacks(model: nn.Module, observer: str) -> None:
    data = samples()
    chosen = quantizer()
    chosen.set_observer(observer)
    with torch.no_grad():
        expected = model(data[0])
        for flow in (torchao_pt2e, pt2e):
            prepared = flow.prepare_pt2e(exported(model, data[0]), chosen)
            for sample in data:
                prepared(sample)
            # torchao's models are copied; the copy has what was seen, and sees on by itself.
            copied = copy.deepcopy(prepared) if flow is torchao_pt2e else prepared
            actual = flow.convert_pt2e(copied)(data[0])
            assert (actual - expected).norm() < 0.1 * expected.norm()


def test_more_threads_than_cpus_are_not_used(model) -> None:
    cpus = len(os.sched_getaffinity(0))
    with pytest.warns(UserWarning, match=f"99 threads were asked for, but this process has {cpus} CPU"):
        prepared = pt2e.prepare_pt2e(exported(model, samples()[0]), quantizer(), threads=99)
    assert prepared.threads == cpus
