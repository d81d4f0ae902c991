"""Operators that are not Core ATen and have no decomposition, through the documented flow."""

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.exir.verification.verifier import SpecViolationError

import common
from operators import calls_of

IMAGES = (2, 5, 9, 7)
FUNCTIONS = {
    "adaptive_max_pool2d": lambda x: torch.nn.functional.adaptive_max_pool2d(x, (4, 3)),
    "sort": lambda x: x.sort(dim=-1, stable=True, descending=True)[0],
    # of a computed value: an input that is only chosen from and returned stays in float
    "max": lambda x: (x * 2).max(),
    "min": lambda x: (x * 2).min(),
    "remainder": lambda x: torch.remainder(3.5, x.abs() + 1),
    "var_mean": lambda x: torch.var_mean(x, (2, 3))[0],
    "cumprod": lambda x: x.cumprod(1),
    "exp2": torch.exp2,
    "erfc": torch.erfc,
    "upsample_bilinear2d": lambda x: torch.ops.aten.upsample_bilinear2d(x, [13, 5], True),
    "upsample_bicubic2d": lambda x: torch.ops.aten.upsample_bicubic2d(x, [13, 5], False),
}


class Call(torch.nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = FUNCTIONS[name]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.forms
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "a8w8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_is_delegated(name: str, quantized: bool):
    torch.manual_seed(0)
    x = torch.randn(IMAGES)
    model: torch.nn.Module = Call(name).eval()
    if quantized:
        model = common.quantize(model, [(x,)], (x,))
    exported = torch.export.export(model, (x,))
    before = [node.target for node in exported.graph.nodes]
    lowered = to_edge_transform_and_lower(exported, partitioner=[EnnPartitioner()])
    assert calls_of(lowered) == (1, 0)
    assert [node.target for node in exported.graph.nodes] == before
    expected, actual = model(x), common.Pte(lowered.to_executorch().buffer)(x)
    has_steps = quantized and "dequantize" in str(
        model.graph.output_node().all_input_nodes[0].target
    )  # else it moves floats
    step = common.output_scale(model) if has_steps else 1e-6 * float(expected.abs().max())
    torch.testing.assert_close(actual, expected, rtol=0, atol=1.01 * step)


def test_what_is_not_taken_keeps_its_name():
    class Places(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return torch.nn.functional.adaptive_max_pool2d(x, (4, 3), return_indices=True)

    exported = torch.export.export(Places(), (torch.randn(IMAGES),))
    with pytest.raises(SpecViolationError, match=r"aten\.adaptive_max_pool2d\.default is not in Core ATen"):
        to_edge_transform_and_lower(exported, partitioner=[EnnPartitioner()])
