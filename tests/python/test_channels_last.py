"""Tensors in channels_last: weights, inputs, inside the model and at the border of a partition."""

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from torch import nn

import common

LAST = torch.channels_last


class Between(nn.Module):
    """channels_last between two convolutions, and float64, which is left to others, in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x)).contiguous(memory_format=LAST)
        return self.second(y + y.double().neg().float())


CASES = {
    "weights": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).to(memory_format=LAST), False),
    "input": (lambda: nn.Conv2d(3, 8, 3), True),
    "both": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1)).to(memory_format=LAST), True),
    "between": (Between, False),
}


@pytest.mark.forms
@pytest.mark.parametrize("case", [*CASES, "dynamic"])
def test_channels_last(case: str) -> None:
    torch.manual_seed(0)
    make, reorders = CASES["weights" if case == "dynamic" else case]
    sizes = ({0: torch.export.Dim("batch", max=8)},) if case == "dynamic" else None
    model = make().eval()
    shape = (2 if sizes else 1, 3, 8, 8)
    x = torch.randn(shape)
    x = x.to(memory_format=LAST) if reorders else x
    quantized = common.quantize(model, [torch.randn(shape), x], (x,), dynamic_shapes=sizes)
    partitioner = EnnPartitioner()
    pte = common.Pte(common.lower(quantized, (x,), partitioner, dynamic_shapes=sizes).to_executorch().buffer)
    assert bool(partitioner.reasons) == (case == "between")
    with torch.no_grad():
        expected = quantized(x)
    step = common.output_scale(quantized)
    for given in (x, x.contiguous(), x.to(memory_format=LAST)):  # the same values in every order
        actual = pte(given)
        assert actual.shape == expected.shape
        assert ((actual - expected) / step).abs().max() <= 1.01
