"""The networks: one delegate call, nothing outside it, outputs of the quantized model."""

import pytest
import torch
from conftest import lowered_model

import common
from report import sqnr

NAMES = [
    "ResNet18",
    *(pytest.param(name, marks=pytest.mark.full) for name in ("MobileNetV2", "ResNet50", "EfficientNet-Lite0")),
]
# (per channel, batch, upstream's edge configuration, folded weights)
FLOWS = [(True, 1, False, True), (False, 4, True, False)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flow", FLOWS, ids=["per channel", "per tensor, batch 4, upstream's flow"])
def test_one_delegate_call_with_the_quantized_models_output(name: str, flow: tuple) -> None:
    per_channel, batch, upstream_config, fold = flow
    lowered = lowered_model(name, 64, batch, upstream_config, per_channel, fold)
    assert lowered.delegate_calls == 1
    assert lowered.outside == []
    assert lowered.reasons == {}
    samples = [torch.randn_like(lowered.inputs[0]) for _ in range(8 // batch)]
    with torch.no_grad():
        exact = torch.cat([lowered.model(sample) for sample in samples])
        expected = torch.cat([lowered.quantized(sample) for sample in samples])
    pte = common.Pte(lowered.buffer)
    actual = torch.cat([pte(sample) for sample in samples])
    # Nearer to the quantized model than that is to the float model: rounding differences grow with depth, and
    # PyTorch's own sums in another order make as many.
    assert sqnr(expected, actual) > sqnr(exact, expected)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("upstream_config", [True, False])
def test_weights_shared_by_convolutions(fold: bool, upstream_config: bool) -> None:
    from conftest import lower
    from torch import nn

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(nn.functional.relu(self.conv(x)))

    lowered = lower(Shared().eval(), (torch.randn(1, 8, 12, 12),), upstream_config, fold_quantize=fold)
    assert (lowered.delegate_calls, lowered.outside) == (1, [])
    with torch.no_grad():
        expected = lowered.quantized(*lowered.inputs)
    actual = common.Pte(lowered.buffer)(*lowered.inputs)
    assert ((actual - expected) / common.output_scale(lowered.quantized)).round().abs().max() <= 1


def test_helpers_of_upstreams_flow() -> None:
    from executorch.backends.samsung.quantizer.quantizer import Precision
    from executorch.backends.samsung.serialization.compile_options import gen_samsung_backend_compile_spec
    from executorch.backends.samsung.utils.export_utils import quantize_module, to_edge_transform_and_lower_to_enn
    from torch import nn

    inputs = (torch.randn(1, 3, 16, 16),)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 4, 1)).eval()
    quantized = quantize_module(model, inputs, [inputs], Precision.A8W8)
    specs = [gen_samsung_backend_compile_spec("e9955")]
    edge = to_edge_transform_and_lower_to_enn(quantized, inputs, compile_specs=specs)
    calls = [str(node.target) for node in edge.exported_program().graph.nodes if node.op == "call_function"]
    assert [call for call in calls if "getitem" not in call] == ["executorch_call_delegate"]
    with torch.no_grad():
        expected = quantized(*inputs)
    actual = common.Pte(edge.to_executorch().buffer)(*inputs)
    assert ((actual - expected) / common.output_scale(quantized)).round().abs().max() <= 1


def test_quantization_aware_helper_gives_folded_operators() -> None:
    from executorch.backends.samsung.quantizer.quantizer import Precision
    from executorch.backends.samsung.utils.export_utils import quantize_module
    from torch import nn

    inputs = (torch.randn(1, 3, 16, 16),)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    quantized = quantize_module(model, inputs, [inputs], Precision.A8W8, is_qat=True)
    with torch.no_grad():
        expected = model(*inputs)
        difference = (quantized(*inputs) - expected).abs().max()
    assert 0 < difference <= 0.05 * expected.max()
    operators = {str(node.target) for node in quantized.graph.nodes if node.op == "call_function"}
    computing = {name for name in operators if name.startswith("aten.")}
    assert computing == {"aten.conv2d.default", "aten.relu.default"}
