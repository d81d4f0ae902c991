"""What programs are made of: their steps and the size of their constants."""

import torch
from torch import nn
from torch.nn import functional

import common
from openenn import _core, fx


def payload_of(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.fx.GraphModule, bytes]:
    """Quantized by steps 1 to 5, and compiled as one partition."""
    quantized = common.quantize(model.eval(), [inputs], inputs)
    return quantized, _core.compile(fx.import_program(torch.export.export(quantized, inputs)).graph)[0]


class Signal(nn.Module):
    """One-dimensional layers with prelu, of each channel and of all, and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 8, 3, padding=1), nn.Conv1d(8, 8, 3, padding=1)
        self.last = nn.Conv1d(8, 4, 3)
        self.slopes, self.slope = nn.PReLU(8), nn.PReLU()
        self.slopes.weight.data.uniform_(-0.5, 0.9)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.slopes(self.first(x))
        y = functional.max_pool1d(y + self.second(y), 2)
        return self.slope(self.last(y)), y.mean(-1)


def test_one_dimensional_network_has_no_transposes() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 40)
    quantized, payload = payload_of(Signal(), (x,))
    steps = [step.op for step in _core.Program(payload).steps]
    assert sorted(steps) == ["Conv2D"] * 3 + ["Dequantize"] * 2 + ["Pool2D", "Quantize", "Reduce"]
    with torch.no_grad():
        expected = quantized(x)
    scales = [node.args[1] for node in quantized.graph.output_node().all_input_nodes]
    for isa in ("reference", ""):
        actual = _core.Program(payload, isa=isa).execute([x.numpy()])
        for ours, theirs, scale in zip(actual, expected, scales, strict=True):
            assert ((torch.from_numpy(ours) - theirs) / scale).abs().max() <= 1.01


class Repeated(nn.Module):
    """One layer, used eight times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(128, 128)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(8):
            x = torch.tanh(self.layer(x))
        return x


def test_a_weight_is_stored_once() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 128)
    quantized, payload = payload_of(Repeated(), (x,))
    weight = 128 * 128
    assert weight < len(payload) < 2 * weight
    with torch.no_grad():
        expected = quantized(x)
    (actual,) = _core.Program(payload).execute([x.numpy()])
    assert ((torch.from_numpy(actual) - expected) / common.output_scale(quantized)).abs().max() <= 2.01
