"""Annotations and scales against upstream's annotator, torchao's observers."""

import dataclasses
from collections import defaultdict

import pytest
import torch
from conftest import upstream_quantizer
from executorch.backends.samsung.quantizer.qconfig import get_quant_config
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer, Precision
from torch import nn
from torchao.quantization.pt2e import HistogramObserver, MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec

import common
import models

EPS = 2.0**-12


def quantization_of_values(quantized: torch.fx.GraphModule) -> dict[str, tuple]:
    """For each quantized value, by the name of the node that computes it: its scales and zero points."""
    found = {}
    for node in quantized.graph.nodes:
        target = str(node.target)
        if "quantize_per_tensor" in target and "dequantize" not in target:
            found[node.args[0].name] = (node.args[1], node.args[2])
        elif "dequantize_per_channel" in target:
            scales, zero_points = (getattr(quantized, str(node.args[i].target)) for i in (1, 2))
            found[f"weight of {next(iter(node.users)).name}"] = (scales.tolist(), zero_points.tolist())
        elif "dequantize_per_tensor" in target and node.args[0].op == "get_attr":
            found[f"weight of {next(iter(node.users)).name}"] = (node.args[1], node.args[2])
    return found


def observe_as_upstream(model: torch.fx.GraphModule) -> None:
    """Extremes of activations, weights from -128."""

    def changed(spec):
        if not isinstance(spec, QuantizationSpec):
            return spec
        if spec.observer_or_fake_quant_ctr.p.func is HistogramObserver:
            return dataclasses.replace(spec, observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=EPS))
        return dataclasses.replace(spec, quant_min=-128)

    annotations = (node.meta.get("quantization_annotation") for node in model.graph.nodes)
    for annotation in filter(None, annotations):
        annotation.output_qspec = changed(annotation.output_qspec)
        annotation.input_qspec_map = {node: changed(spec) for node, spec in annotation.input_qspec_map.items()}


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet18"])
def test_scales_and_zero_points_equal_upstreams(name: str, per_channel: bool) -> None:
    model = models.build(name)
    inputs = (torch.randn(1, 3, 64, 64),)
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", per_channel, False)
    quantizer.add_custom_quant_annotations([observe_as_upstream])
    ours = quantization_of_values(common.quantize(model, [inputs], inputs, quantizer))
    upstream = quantization_of_values(common.quantize(model, [inputs], inputs, upstream_quantizer(per_channel)))
    shared = ours.keys() & upstream.keys()
    weights = [key for key in shared if key.startswith("weight of ")]
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(weights) == len(layers)
    assert len(shared) - len(weights) >= len(layers)
    # Upstream gives both operands and the result of an add one range; here each has its own (docs/differences.md).
    exported = torch.export.export(model, inputs).module()
    adds = [node for node in exported.graph.nodes if str(node.target).startswith("aten.add")]
    around_adds = set()
    for add in adds:
        around = [add, *add.all_input_nodes, *add.users]
        # A batch norm disappears into its convolution, and a max pool has the range of its operand.
        transparent = ("batch_norm", "max_pool2d")
        around += [node.args[0] for node in around if any(name in str(node.target) for name in transparent)]
        around_adds |= {node.name for node in around}
    # An average has the range of its operand, and so it has flattened.
    averages = {"adaptive_avg_pool2d", "flatten"}
    assert averages <= shared
    compared = shared - around_adds - averages
    different = {key: (ours[key], upstream[key]) for key in compared if ours[key] != upstream[key]}
    assert different == {}


def test_activation_ranges_are_those_of_the_values_histograms() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Conv2d(8, 4, 1), nn.Sigmoid()).eval()
    samples = [torch.randn(2, 3, 12, 12) * (i + 1) for i in range(3)]
    inputs = (samples[0],)
    exported = torch.export.export(model, inputs).module()
    observers: dict[str, HistogramObserver] = defaultdict(
        lambda: HistogramObserver(
            dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine, eps=EPS
        )
    )

    class Recorder(torch.fx.Interpreter):
        def run_node(self, node):
            result = super().run_node(node)
            if isinstance(result, torch.Tensor):
                observers[node.name](result.detach())
            return result

    for sample in samples:
        Recorder(exported).run(sample)
    found = quantization_of_values(common.quantize(model, samples, inputs))
    (input_name,) = [node.name for node in exported.graph.nodes if node.op == "placeholder"]
    for name in (input_name, "conv2d", "conv2d_1", "hardswish"):
        scale, zero_point = observers[name].calculate_qparams()
        assert found[name] == (scale.item(), zero_point.item()), name


def test_weight_scales_are_symmetric_per_output_channel() -> None:
    model = nn.Sequential(nn.Conv2d(5, 7, 3)).eval()
    found = quantization_of_values(common.quantize(model, [torch.randn(1, 5, 9, 9)], (torch.randn(1, 5, 9, 9),)))
    largest = model[0].weight.detach().abs().amax(dim=(1, 2, 3))
    expected = torch.maximum(largest / 127, torch.tensor(EPS))
    assert found["weight of conv2d"] == (expected.tolist(), [0] * 7)


def test_get_quant_config_names_upstreams_observers() -> None:
    config = get_quant_config(Precision.A8W8, is_per_channel=True)
    activation = config.input_activation.observer_or_fake_quant_ctr()
    weight = config.weight.observer_or_fake_quant_ctr()
    assert type(activation) is MinMaxObserver and float(activation.eps) == EPS
    assert type(weight) is PerChannelMinMaxObserver and float(weight.eps) == EPS
    assert (config.input_activation.dtype, config.input_activation.qscheme) == (torch.int8, torch.per_tensor_affine)
    assert (config.weight.qscheme, config.weight.ch_axis) == (torch.per_channel_symmetric, 0)
    assert config.output_activation is config.input_activation and config.bias is None


@pytest.mark.parametrize("precision", ["A8W8", "a8w8", Precision.A8W8, 3])
@pytest.mark.parametrize("setter", ["set_quant_params", "setup_quant_params"])
def test_precision_in_every_spelling(precision, setter: str) -> None:
    quantizer = EnnQuantizer()
    getattr(quantizer, setter)(precision, True, False)
    quantizer.setup_precision(precision)


def test_arguments_by_keyword() -> None:
    EnnQuantizer().set_quant_params(precision="A8W8", is_per_channel=False, is_qat=True)
    EnnQuantizer().setup_quant_params(quant_dtype=Precision.A8W8, is_per_channel=False)
    EnnQuantizer().setup_precision(quant_dtype=Precision.A8W8)


@pytest.mark.parametrize("precision", ["A16W8", "", 4, None])
def test_wrong_precision_is_refused_with_what_is_supported(precision) -> None:
    with pytest.raises(ValueError, match="A8W8"):
        EnnQuantizer().set_quant_params(precision, True, False)


def test_custom_annotations_win() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardswish()).eval()
    inputs = (torch.randn(1, 3, 8, 8),)

    def leave_hardswish_in_float(module: torch.fx.GraphModule) -> None:
        for node in module.graph.nodes:
            if str(node.target) == "aten.hardswish.default":
                node.meta["quantization_annotation"] = QuantizationAnnotation(_annotated=True)

    quantizer = EnnQuantizer()
    quantizer.add_custom_quant_annotations([leave_hardswish_in_float])
    quantized = common.quantize(model, [inputs], inputs, quantizer)
    assert "hardswish" not in quantization_of_values(quantized)
    assert "conv2d" in quantization_of_values(quantized)


def test_annotations_made_before_are_kept() -> None:
    exported = torch.export.export(nn.Hardswish().eval(), (torch.randn(1, 3),)).module()
    (node,) = [node for node in exported.graph.nodes if node.op == "call_function"]
    annotation = QuantizationAnnotation(_annotated=True)
    node.meta["quantization_annotation"] = annotation
    EnnQuantizer().annotate(exported)
    assert node.meta["quantization_annotation"] is annotation


def test_dynamic_shapes_are_refused_with_the_nodes_name() -> None:
    batch = torch.export.Dim("batch", min=2, max=8)
    exported = torch.export.export(nn.ReLU(), (torch.randn(2, 3),), dynamic_shapes=({0: batch},)).module()
    with pytest.raises(RuntimeError, match=r"'input_1'.*only static shapes"):
        EnnQuantizer().annotate(exported)


def test_unknown_dtype_is_refused_with_the_nodes_name() -> None:
    exported = torch.export.export(nn.ReLU(), (torch.randn(2, 3, dtype=torch.bfloat16),)).module()
    with pytest.raises(ValueError, match=r"'input_1'.*bfloat16"):
        EnnQuantizer().annotate(exported)


def test_preparation_twice_gives_the_same_observers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
    inputs = (torch.randn(1, 3, 8, 8),)
    prepared = [prepare_pt2e(torch.export.export(model, inputs).module(), EnnQuantizer()) for _ in range(2)]
    assert str(prepared[0].graph) == str(prepared[1].graph)
