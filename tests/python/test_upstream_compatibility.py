"""Compatibility.UPSTREAM: every annotation equals that of upstream's own annotator."""

import copy

import pytest
import torch
from conftest import upstream_quantizer
from executorch.backends.samsung.quantizer.quantizer import Compatibility, EnnQuantizer
from executorch.backends.transforms.decompose_sdpa import DecomposeScaledDotProductAttention
from torch import nn
from torchao.quantization.pt2e import FixedQParamsObserver, FusedMovingAvgObsFakeQuantize, MovingAverageMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationSpec,
    SharedQuantizationSpec,
)

import common
from operator_cases import CASES


def observer_of(constructor) -> tuple:
    """Class and arguments of an observer's constructor, which compares by identity."""
    partial = constructor.p
    arguments = {key: observer_of(value) if hasattr(value, "p") else value for key, value in partial.keywords.items()}
    if partial.func is FusedMovingAvgObsFakeQuantize:
        arguments.setdefault("observer", MovingAverageMinMaxObserver)  # its default
    return partial.func, tuple(sorted(arguments.items(), key=str))


def described(spec) -> tuple | None:
    """A spec by value, with nodes by name."""
    if spec is None:
        return None
    if isinstance(spec, SharedQuantizationSpec):
        shared = spec.edge_or_node
        return "shared", tuple(node.name for node in shared) if isinstance(shared, tuple) else shared.name
    if isinstance(spec, FixedQParamsQuantizationSpec):
        return "fixed", spec.scale, spec.zero_point, spec.quant_min, spec.quant_max, spec.dtype
    assert isinstance(spec, QuantizationSpec)
    function, arguments = observer_of(spec.observer_or_fake_quant_ctr)
    if function is FixedQParamsObserver:
        fixed = dict(arguments)
        return "fixed", *(fixed[key] for key in ("scale", "zero_point", "quant_min", "quant_max", "dtype"))
    axis = spec.ch_axis if spec.qscheme is torch.per_channel_symmetric else None
    return function, arguments, spec.dtype, spec.quant_min, spec.quant_max, spec.qscheme, axis


def annotations(module: torch.fx.GraphModule) -> dict[str, tuple]:
    """Of each node that has specs: those of its operands and of its result."""
    found = {}
    for node in module.graph.nodes:
        annotation = node.meta.get("quantization_annotation")
        if annotation is None or not (annotation.input_qspec_map or annotation.output_qspec):
            continue
        operands = {operand.name: described(spec) for operand, spec in (annotation.input_qspec_map or {}).items()}
        found[node.name] = operands, described(annotation.output_qspec)
    return found


def without_circles(found: dict[str, tuple]) -> dict[str, tuple]:
    """With the spec of activations where an operand that is read twice shares the spec with itself."""
    plain = [spec for _, spec in found.values() if spec is not None and spec[0] not in ("shared", "fixed")]
    activation = plain[0] if plain else None
    return {
        name: ({key: activation if spec == ("shared", (key, name)) else spec for key, spec in operands.items()}, result)
        for name, (operands, result) in found.items()
    }


def assert_equal_annotations(
    model: nn.Module, inputs: tuple, is_per_channel: bool = True, is_qat: bool = False, decompose: bool = False
) -> dict[str, tuple]:
    """Both quantizers on copies of the exported model; returns the annotations."""
    model = model.train() if is_qat else model.eval()
    exported = torch.export.export(model, inputs).module()
    if decompose:
        DecomposeScaledDotProductAttention()(exported)
    theirs, ours = copy.deepcopy(exported), exported
    upstream_quantizer(is_per_channel, is_qat).annotate(theirs)
    quantizer = EnnQuantizer(compatibility=Compatibility.UPSTREAM)
    quantizer.set_quant_params("A8W8", is_per_channel, is_qat)
    quantizer.annotate(ours)
    expected, actual = without_circles(annotations(theirs)), annotations(ours)
    assert actual == expected
    return actual


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    assert_equal_annotations(CASES[name].module(), CASES[name].inputs())


@pytest.mark.parametrize(
    ("name", "size"),
    [("mobilenet_v2", 64), ("mobilenet_v3_large", 64), ("resnet18", 64), ("vit_b_16", 224), ("inception_v3", 96)],
)
def test_model(name: str, size: int) -> None:
    import torchvision.models

    arguments = {"init_weights": False} if name == "inception_v3" else {}
    model = getattr(torchvision.models, name)(weights=None, **arguments)
    found = assert_equal_annotations(model, (torch.randn(2, 3, size, size),), decompose=name == "vit_b_16")
    assert len(found) > 20


class Everything(nn.Module):
    """Operators that the table lists and no case shows, and the forms of add, softmax and unbind."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.embedding = nn.Embedding(10, 8)
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.GroupNorm(2, 4), nn.RMSNorm(8)])
        self.prelu = nn.PReLU()
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> list[torch.Tensor]:
        results = []
        a, b, c = self.linear(x).reshape(4, 3, 8).unbind(1)
        results += [a.softmax(-1), (b + c).softmax(-1), (self.linear(x) + 1.0).log_softmax(-1)]
        results += [x + 1.0, x + 1, x - 1.0, 1.0 - x, x * 2.0, x * x, x + x, x / 2.0, x / (x + 3.0)]
        results += [self.dropout(x) + x, (x + a.mean()) + x, torch.matmul(a, b.t()), x.sum(0)]
        results += [self.embedding(ids), torch.stack([a, b]), torch.cat([a, a, b]), a[ids[:2]]]
        results += [self.prelu(a), torch.topk(a, 2)[0].relu(), a.pow(2.0), a.to(torch.float16)]
        x = x.reshape(3, 4, 8)
        results += [norm(x) for norm in self.norms]
        results += [torch.nn.functional.hardtanh(self.linear(x), low, 6.0) for low in (0.0, -1.0)]
        results += [torch.nn.functional.relu(self.linear(x)).transpose(1, 2).select(0, 1).unsqueeze(0)]
        results += [torch.sigmoid(self.linear(x).sin().cos()), ids + 1, self.linear(x).chunk(2, -1)[0].squeeze(0)]
        image = x.reshape(1, 4, 3, 8)
        results += [nn.functional.interpolate(image, scale_factor=2.0, mode=mode) for mode in ("nearest", "bilinear")]
        results += [nn.functional.pad(image, (1, 1)), nn.functional.max_pool2d(image, 2), image.expand(2, 4, 3, 8)]
        return results


@pytest.mark.parametrize(("is_per_channel", "is_qat"), [(True, False), (False, False), (True, True), (False, True)])
def test_rules_that_no_case_shows(is_per_channel: bool, is_qat: bool) -> None:
    inputs = (torch.randn(12, 8), torch.arange(4))
    found = assert_equal_annotations(Everything(), inputs, is_per_channel, is_qat)
    assert len(found) > 40


def test_training_leaves_batch_norms_untouched() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    assert_equal_annotations(model, (torch.randn(2, 3, 8, 8),), is_qat=True)


def test_lowered_program_equals_the_quantized_model() -> None:
    """Gates, additions, activations and a sigmoid whose range upstream cuts off."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 16, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.relu(self.first(x))
            return x * torch.sigmoid(self.second(x)) + x

    inputs = (torch.randn(4, 8, 48, 48),)
    quantizer = EnnQuantizer(compatibility="upstream")
    quantizer.set_quant_params("A8W8", True, False)
    quantized = common.quantize(Gated().eval(), [inputs], inputs, quantizer)
    edge = common.lower(quantized, inputs)
    pte = common.Pte(edge.to_executorch().buffer)
    with torch.no_grad():
        steps = ((pte(*inputs) - quantized(*inputs)) / common.output_scale(quantized)).round().abs()
    assert steps.max() <= 1
    assert (steps > 0).float().mean() <= 0.01  # several operators in a row


def test_unknown_compatibility_is_refused() -> None:
    with pytest.raises(ValueError, match="'DEFAULT' and 'UPSTREAM'"):
        EnnQuantizer(compatibility="vendor")


class SharedWithItself(nn.Module):
    """Upstream's annotator lets an edge share the spec of itself here, or of one that has none: torchao recurses."""

    def forward(self, x):
        squares = torch.cat([x * x, x + x, torch.maximum(x, x)])
        return squares.relu().t()[torch.tensor([1, 0])]


def test_what_upstream_shares_with_itself_is_placed() -> None:
    inputs = (torch.randn(2, 3),)
    quantizer = EnnQuantizer(compatibility=Compatibility.UPSTREAM)
    quantizer.set_quant_params("A8W8", True, False)
    prepared = prepare_pt2e(torch.export.export(SharedWithItself(), inputs).module(), quantizer)
    prepared(*inputs)
    expected = SharedWithItself()(*inputs)
    step = (expected.max() - expected.min()) / 255
    torch.testing.assert_close(convert_pt2e(prepared)(*inputs), expected, rtol=0, atol=4 * float(step))
