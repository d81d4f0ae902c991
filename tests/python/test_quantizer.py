"""Annotations and scales against upstream's annotator, torchao's observers."""

import copy
import dataclasses
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from conftest import upstream_quantizer
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.qconfig import get_quant_config
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer, Precision
from torch import nn
from torchao.quantization.pt2e import HistogramObserver, MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec

import common
import models
from openenn import InvalidArgumentError, _core
from openenn.observers import MseObserver

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


def raised(scales: float | list[float]) -> float | list[float]:
    """Scales with upstream's floor."""
    return [max(scale, EPS) for scale in scales] if isinstance(scales, list) else max(scales, EPS)


def observe_as_upstream(model: torch.fx.GraphModule) -> None:
    """Extremes of activations, weights from -128."""

    def changed(spec):
        if not isinstance(spec, QuantizationSpec):
            return spec
        if spec.observer_or_fake_quant_ctr.p.func is MseObserver:
            return dataclasses.replace(spec, observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=EPS))
        return dataclasses.replace(spec, quant_min=-128)

    annotations = (node.meta.get("quantization_annotation") for node in model.graph.nodes)
    for annotation in filter(None, annotations):
        annotation.output_qspec = changed(annotation.output_qspec)
        annotation.input_qspec_map = {node: changed(spec) for node, spec in annotation.input_qspec_map.items()}


@pytest.mark.forms
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
    # Upstream's smallest scale is larger than those of small weights.
    floored = {key: (raised(scales), zero_points) for key, (scales, zero_points) in ours.items()}
    different = {key: (floored[key], upstream[key]) for key in compared if floored[key] != upstream[key]}
    assert different == {}


def test_activation_ranges_are_those_of_the_values_histograms() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Conv2d(8, 4, 1), nn.Tanh()).eval()
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
    quantizer = EnnQuantizer()
    quantizer.set_observer("histogram")
    found = quantization_of_values(common.quantize(model, samples, inputs, quantizer))
    (input_name,) = [node.name for node in exported.graph.nodes if node.op == "placeholder"]
    for name in (input_name, "hardswish", "conv2d_1", "tanh"):
        scale, zero_point = observers[name].calculate_qparams()
        assert found[name] == (scale.item(), zero_point.item()), name


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.features(x))


def test_layers_are_named_by_module_path_or_class(caplog) -> None:
    exported = torch.export.export(TwoLayers().eval(), (torch.randn(2, 4),))

    def reasons(*patterns: str) -> dict[str, str]:
        quantizer = EnnQuantizer()
        for pattern in patterns:
            quantizer.exclude_module(pattern)
        prepare_pt2e(exported.module(), quantizer)
        return {row.name: row.reason for row in quantizer.explain().rows if "exclude_module" in row.reason}

    assert set(reasons("head")) == {"linear_1"}
    assert set(reasons("features")) == {"linear", "relu"}
    assert set(reasons("features.0")) == {"linear"}
    assert set(reasons("torch.nn.Linear")) == {"linear", "linear_1"}
    assert set(reasons("*.TwoLayers")) == {"linear", "relu", "linear_1"}

    def observers(set_observer: str, subject: str) -> dict[str, str]:
        quantizer = EnnQuantizer()
        getattr(quantizer, set_observer)(subject, "histogram")
        prepare_pt2e(exported.module(), quantizer)
        return {row.name: dict(row.result).get("observer", "") for row in quantizer.explain().rows}

    expected = observers("set_observer_for_node", "linear_1")
    assert expected["linear_1"] == "Histogram"
    assert observers("set_observer_for_module", "head") == expected
    assert observers("set_observer_for_module", "torch.nn.ReLU")["relu"] == "Histogram"

    for method, arguments in (
        ("exclude_node", ()),
        ("exclude_module", ()),
        ("set_observer_for_node", ("mse",)),
        ("set_observer_for_module", ("mse",)),
    ):
        quantizer = EnnQuantizer()
        getattr(quantizer, method)("nosuch*", *arguments)
        with pytest.raises(InvalidArgumentError, match=rf"{method}\('nosuch\*'\) names no"):
            prepare_pt2e(exported.module(), quantizer)
    quantizer = EnnQuantizer()
    quantizer.exclude_operator("softmax")  # of a configuration that is meant for several models
    prepare_pt2e(exported.module(), quantizer)
    assert "the operator 'softmax', which the model does not have" in caplog.text


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
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ELU()).eval()
    inputs = (torch.randn(1, 3, 8, 8),)

    def leave_elu_in_float(module: torch.fx.GraphModule) -> None:
        for node in module.graph.nodes:
            if str(node.target) == "aten.elu.default":
                node.meta["quantization_annotation"] = QuantizationAnnotation(_annotated=True)

    quantizer = EnnQuantizer()
    quantizer.add_custom_quant_annotations([leave_elu_in_float])
    quantized = common.quantize(model, [inputs], inputs, quantizer)
    assert "elu" not in quantization_of_values(quantized)
    assert "conv2d" in quantization_of_values(quantized)


def test_annotations_made_before_are_kept() -> None:
    exported = torch.export.export(nn.Hardswish().eval(), (torch.randn(1, 3),)).module()
    (node,) = [node for node in exported.graph.nodes if node.op == "call_function"]
    annotation = QuantizationAnnotation(_annotated=True)
    node.meta["quantization_annotation"] = annotation
    EnnQuantizer().annotate(exported)
    assert node.meta["quantization_annotation"] is annotation


def test_an_archive_records_no_result_of_assertions(tmp_path: Path) -> None:
    class Converts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.to(torch.float32) * 2 + x

    inputs = (torch.randn(4),)
    torch.export.save(torch.export.export(Converts(), inputs), tmp_path / "model.pt2")
    module = torch.export.load(tmp_path / "model.pt2").module()
    assertions = [node for node in module.graph.nodes if "_assert_tensor_metadata" in str(node.target)]
    assert assertions
    assert all("val" not in node.meta for node in assertions)
    prepared = prepare_pt2e(module, EnnQuantizer())
    torch.testing.assert_close(prepared(*inputs), Converts()(*inputs))


def test_preparation_twice_gives_the_same_observers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval()
    inputs = (torch.randn(1, 3, 8, 8),)
    prepared = [prepare_pt2e(torch.export.export(model, inputs).module(), EnnQuantizer()) for _ in range(2)]
    assert str(prepared[0].graph) == str(prepared[1].graph)


LAYERS = {
    "conv2d": (nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2), (6, 9, 8)),
    "dilated": (nn.Conv2d(3, 4, (3, 2), padding=(2, 0), dilation=2), (3, 7, 8)),
    "conv1d": (nn.Conv1d(4, 5, 3, padding=2), (4, 10)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (4, 5, 6)),
    "linear": (nn.Linear(12, 7), (5, 12)),
}


@pytest.mark.forms
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_biases_take_back_what_rounding_weights_does_to_means(name: str, per_channel: bool, tmp_path: Path) -> None:
    layer, shape = LAYERS[name]
    channels = (1, *shape[:1], *[1] * (len(shape) - 1)) if name != "linear" else (1, 1, shape[-1])
    # Where an input's channel is the same everywhere, its mean tells all, at the borders too.
    samples = [(torch.randn(channels) + 1).expand(1, *shape).contiguous() for _ in range(3)]
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", per_channel, False)
    converted = common.quantize(layer, [(sample,) for sample in samples], (samples[0],), quantizer)
    (corrected,) = [value for key, value in converted.named_parameters() if key.startswith("bias_corrector")]

    weight = next(node for node in converted.graph.nodes if "dequantize" in str(node.target))
    assert weight.args[0].op == "get_attr"
    rounded = copy.deepcopy(layer)
    integers, numbers = getattr(converted, weight.args[0].target).float(), weight.args[1:3]
    scale, zero_point = (
        getattr(converted, n.target) if isinstance(n, torch.fx.Node) else torch.tensor(n) for n in numbers
    )
    if scale.numel() > 1:
        axis = 1 if name == "transposed" else 0
        sizes = [-1 if i == axis else 1 for i in range(integers.dim())]
        scale, zero_point = scale.reshape(sizes), zero_point.reshape(sizes)
    with torch.no_grad():
        rounded.weight.copy_((integers - zero_point) * scale)
        kept = sum(rounded(sample) - layer(sample) for sample in samples)
        rounded.bias.copy_(corrected)
        mended = sum(rounded(sample) - layer(sample) for sample in samples)
    dims = [i for i in range(kept.dim()) if i != (kept.dim() - 1 if name == "linear" else 1)]
    assert kept.mean(dims).abs().max() > 1e-4
    assert mended.mean(dims).abs().max() < 2e-6

    torch.export.save(torch.export.export(layer, (samples[0],)), tmp_path / "float.pt2")
    core = _core.EnnQuantizer()
    core.set_quant_params("A8W8", per_channel, False)
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(tmp_path / "float.pt2")), core)
    for sample in samples:
        prepared.run([sample.numpy()])
    _core.convert_pt2e(prepared).exported_program.save(str(tmp_path / "quantized.pt2"))
    bias = torch.export.load(tmp_path / "quantized.pt2").state_dict["_constant_0"]
    torch.testing.assert_close(bias, corrected.detach(), rtol=1e-5, atol=1e-6)


def test_biases_stay_without_samples_or_when_told() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    inputs = (torch.randn(1, 3, 8, 8),)
    quantizer = EnnQuantizer()
    quantizer.set_bias_correction(False)
    converted = common.quantize(model, [inputs], inputs, quantizer)
    assert torch.equal(converted.get_parameter("0.bias"), model[0].bias)
    assert not [name for name, _ in converted.named_parameters() if "corrector" in name]
    for compatibility, is_qat in (("UPSTREAM", False), ("DEFAULT", True)):
        quantizer = EnnQuantizer(compatibility)
        quantizer.set_quant_params("A8W8", True, is_qat)
        annotated = torch.export.export(model, inputs).module()
        quantizer.annotate(annotated)
        quantizer.prepare_obs_or_fq_callback(annotated, {})
        assert not [node for node in annotated.graph.nodes if "corrector" in str(node.target)]


class ShiftedWindows(nn.Module):
    """Attention as Swin has it: a mask that is written in place, and added to scores that are viewed in between."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)
        self.bias = nn.Parameter(torch.randn(1, 1, 4, 4))

    def forward(self, x):
        windows, tokens, _ = x.shape
        q, k, v = self.project(x).chunk(3, -1)
        regions = x.new_zeros((windows, tokens))
        for i in range(tokens):
            regions[:, i : i + 1] = i // 2
        mask = regions.unsqueeze(1) - regions.unsqueeze(2)
        mask = mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)
        scores = (q @ k.transpose(1, 2)).unsqueeze(1) + self.bias
        scores = scores.view(1, windows, 1, tokens, tokens) + mask.unsqueeze(1).unsqueeze(0)
        return scores.view(windows, tokens, tokens).softmax(-1) @ v


def test_masks_written_in_place_reach_the_scores() -> None:
    torch.manual_seed(0)
    model, samples = ShiftedWindows(), [(torch.randn(6, 4, 8),) for _ in range(4)]
    quantized = common.quantize(model, samples, samples[0])
    with torch.no_grad():
        expected, actual = model(*samples[1]), quantized(*samples[1])
    assert 20 * torch.log10(expected.norm() / (actual - expected).norm()) > 30
    edge = common.lower(quantized, samples[1], EnnPartitioner())
    step = common.output_scale(quantized)
    assert (common.Pte(edge.to_executorch().buffer)(*samples[1]) - actual).abs().max() <= 1.01 * step


def test_a_convolution_whose_weight_is_computed_stays_in_float_and_runs() -> None:
    class Filtered(torch.nn.Module):
        def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.conv2d(x, weight)

    inputs = (torch.randn(2, 4, 8, 8), torch.randn(3, 4, 3, 3))
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", is_per_channel=True, is_qat=False)
    quantized = common.quantize(Filtered().eval(), [inputs], inputs, quantizer)
    assert "its weight is computed at run time" in str(quantizer.explain())
    program = common.lower(quantized, inputs).to_executorch()
    torch.testing.assert_close(common.Pte(program.buffer)(*inputs), Filtered()(*inputs), rtol=0, atol=1e-5)


def test_recipe_is_the_quantizer_again(tmp_path) -> None:
    quantizer = EnnQuantizer("UPSTREAM")
    quantizer.set_quant_params("A8W8", False, False)
    quantizer.exclude_module("features.0:convolution")
    quantizer.set_observer_for_node("re:conv2d_[12]", "kl")
    again = EnnQuantizer.from_json(quantizer.to_json())
    assert again.to_json() == quantizer.to_json()
    assert vars(again).keys() == vars(quantizer).keys()
    assert (again._interpret, again._is_per_channel, again._precision) == (False, False, "A8W8")
    path = tmp_path / "recipe.json"
    path.write_text('{"format": "openenn.quantizer", "version": 1, "excluded": [{"module": "head", "node": "a"}]}')
    with pytest.raises(InvalidArgumentError, match=r"recipe\.json: an item of 'excluded' names an 'operator', a"):
        EnnQuantizer.load_recipe(path)
    path.write_text('{"format": "openenn.quantizer", "version": 1, "excluded": [{"operator": "relu"}]}')
    plain = EnnQuantizer()
    plain.exclude_operator("relu")
    assert EnnQuantizer.load_recipe(path).to_json() == plain.to_json()
