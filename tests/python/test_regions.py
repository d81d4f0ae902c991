"""Models with torch.no_grad() or torch.autocast in forward: what stands under them is quantized as anything else."""

from collections.abc import Callable

import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

import common
from operators import calls_of
from report import sqnr


class Net(nn.Module):
    """A frozen trunk with a batch norm, and a head."""

    def __init__(self, forward: Callable[["Net", torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 4, 1)
        self.run = forward
        with torch.no_grad():
            self.trunk[1].running_var.uniform_(0.2, 4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(self, x)


def frozen(net: Net, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        x = net.trunk(x)
        with torch.enable_grad():
            x = x * 2.0
    return net.head(x)


def kept_in_float32(net: Net, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        x = net.trunk(x.float())
    return net.head(x)


def in_bfloat16(net: Net, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = net.trunk(x)
        x = net.head(x) + x[:, :4]
    return x.float()


def plain(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.head(net.trunk(x))


def images(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("forward", [frozen, kept_in_float32, in_bfloat16])
def test_what_stands_under_them_is_quantized(forward: Callable) -> None:
    model = Net(forward).eval()
    quantized = common.quantize(model, [(images(seed),) for seed in range(4)], (images(0),), EnnQuantizer())
    assert not any(isinstance(node.target, torch._ops.HigherOrderOperator) for node in quantized.graph.nodes)
    assert not any("batch_norm" in str(node.target) for node in quantized.graph.nodes)
    lowered = common.lower(quantized, (images(9),))
    assert calls_of(lowered)[0] == 1
    with torch.no_grad():
        expected, simulated = model(images(9)), quantized(images(9))
    assert simulated.dtype == expected.dtype
    assert sqnr(expected, simulated) > 30
    actual = common.Pte(lowered.to_executorch().buffer)(images(9))
    # A step, and where it is rounded to bfloat16 afterwards, half of the last of its eight bits, twice.
    step = [node.args[1] for node in quantized.graph.nodes if ".dequantize_per_tensor" in str(node.target)][-1]
    assert (actual - simulated).abs().max() <= 1.001 * step + 2**-8 * expected.abs().max() * (forward is in_bfloat16)


def test_no_gradient_comes_out_of_no_grad() -> None:
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", True, True)
    model = Net(frozen).train()
    prepared = prepare_qat_pt2e(torch.export.export(model, (images(0),)).module(), quantizer)
    prepared(images(0)).sum().backward()
    gradients = {name for name, parameter in prepared.named_parameters() if parameter.grad is not None}
    assert gradients == {"head.weight", "head.bias"}
    assert any("fake_quant" in str(node.target) or node.op == "call_module" for node in prepared.graph.nodes)


def test_a_region_that_needs_autocast_stays(caplog) -> None:
    """A product of two types is one that autocast alone can compute."""

    def mixed(net: Net, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = net.trunk(x)
            return torch.matmul(x.to(torch.float64).to(torch.bfloat16), x.transpose(2, 3).float()).float()

    model = Net(mixed).eval()
    with caplog.at_level("WARNING", logger="openenn"):
        quantized = common.quantize(model, [(images(0),)], (images(0),), EnnQuantizer())
    assert "stays under autocast and is not quantized" in caplog.text
    with torch.no_grad():
        assert torch.equal(quantized(images(1)), model(images(1)))
