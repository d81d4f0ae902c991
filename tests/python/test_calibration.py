"""What observers saw: models that were never calibrated, values that are not finite, states that are saved."""

import copy
import io
from types import ModuleType

import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from executorch.backends.samsung.utils.export_utils import get_edge_compile_config
from torch import nn
from torchao.quantization.pt2e import quantize_pt2e as torchao_pt2e

import common
from openenn import EnnError, pt2e, qat

FLOWS = {"torchao": torchao_pt2e, "openenn.pt2e": pt2e}
OBSERVERS = ["minmax", "moving_average", "histogram", "percentile", "mse", "kl"]


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).relu())


@pytest.fixture(scope="module")
def exported() -> torch.export.ExportedProgram:
    torch.manual_seed(1)
    return torch.export.export(Small().eval(), (torch.randn(8, 4),))


@pytest.fixture(params=FLOWS)
def flow(request: pytest.FixtureRequest) -> ModuleType:
    return FLOWS[request.param]


def prepared(flow: ModuleType, exported: torch.export.ExportedProgram, observer: str = "mse"):
    quantizer = EnnQuantizer()
    quantizer.set_observer(observer)
    quantizer.set_bias_correction(True)
    quantizer.set_guard(None)  # it measures on samples, which statistics are not
    return flow.prepare_pt2e(exported.module(), quantizer)


def samples(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 4, generator=generator) * (1 + i) for i in range(count)]


def calibrate(model, data: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for sample in data:
            model(sample)


def test_a_model_that_was_never_calibrated_is_not_converted(flow: ModuleType, exported) -> None:
    with pytest.raises(EnnError, match=r"never calibrated: \[.*'x', 'relu'\]: run the prepared"):
        flow.convert_pt2e(prepared(flow, exported))


def test_training_counts_as_calibration() -> None:
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", True, True)
    exported = torch.export.export(Small().train(), (torch.randn(8, 4),))
    model = torchao_pt2e.prepare_qat_pt2e(exported.module(), quantizer)
    with pytest.raises(EnnError, match=r"never calibrated: \[.*'x', 'relu', 'linear_1'\]"):
        torchao_pt2e.convert_pt2e(model)
    model(samples(1)[0] * float("nan"))
    with pytest.raises(EnnError, match=r"value 'x': some of the values observed were NaN"):
        torchao_pt2e.convert_pt2e(model)
    with pytest.raises(EnnError, match=r"value 'x': some of the values observed were infinite"):
        qat.calibrate(model, [(samples(1)[0] / 0,)])


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize(("number", "name"), [(float("nan"), "NaN"), (float("-inf"), "infinite")])
def test_values_that_are_not_finite_are_named(flow, exported, observer: str, number: float, name: str) -> None:
    model = prepared(flow, exported, observer)
    bad = samples(1)[0]
    bad[3, 2] = number
    with pytest.raises(EnnError, match=rf"value 'x': some of the values observed were {name}"):
        calibrate(model, [*samples(1), bad])
        flow.convert_pt2e(model)


def test_weights_with_one_scale_are_refused_when_lowering(exported) -> None:
    """As of a model that torchao converts without a sample; ExecuTorch's kernel would end the process."""
    model = prepared(torchao_pt2e, exported)
    calibrate(model, samples(1))
    converted = torchao_pt2e.convert_pt2e(model, fold_quantize=False)
    for name, buffer in list(converted.named_buffers()):
        if "_scale" in name or "_zero_point" in name:
            converted.register_buffer(name, buffer[:1])
    with pytest.raises(EnnError, match="it has 1 scales for 6 channels; was the model calibrated"):
        common.lower(converted, (samples(1)[0],), config=get_edge_compile_config())


@pytest.mark.parametrize("observer", OBSERVERS)
def test_statistics_are_in_the_state_and_are_resumed(flow: ModuleType, exported, observer: str) -> None:
    data = samples(4)
    first, resumed = prepared(flow, exported, observer), prepared(flow, exported, observer)
    calibrate(first, data[:2])
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    resumed.load_state_dict(torch.load(stored, weights_only=True))
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in resumed.state_dict().items())
    for model in (first, resumed):
        calibrate(model, data[2:])
    with torch.no_grad():
        once, again = flow.convert_pt2e(first), flow.convert_pt2e(resumed)
        assert torch.equal(once(data[0]), again(data[0]))


def test_states_of_another_model_are_refused(exported) -> None:
    model, state = prepared(pt2e, exported), prepared(pt2e, exported).state_dict()
    name = next(name for name in state if name.endswith("_extra_state"))
    before = model.state_dict()
    with pytest.raises(EnnError, match=f"the state of the prepared model lacks {name}"):
        model.load_state_dict({key: value for key, value in state.items() if key != name})
    with pytest.raises(EnnError, match=name):
        model.load_state_dict(state | {name: torch.zeros(3, dtype=torch.uint8)})
    for_torchao = prepared(torchao_pt2e, exported)
    name = next(name for name in for_torchao.state_dict() if name.endswith("_extra_state"))
    with pytest.raises(EnnError, match="statistics of 'x'"):
        for_torchao.load_state_dict(for_torchao.state_dict() | {name: torch.zeros(3)})
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_parameters_come_with_the_state(exported) -> None:
    """The engine holds the parameters itself."""
    (x,), model = samples(1), prepared(pt2e, copy.deepcopy(exported))
    state = model.state_dict()
    doubled = {"first.weight": state["first.weight"] * 2}
    model.load_state_dict(state | doubled)
    with torch.no_grad():
        expected = torch.func.functional_call(exported.module(), doubled, x)
        torch.testing.assert_close(model(x), expected)


def test_what_is_quantized_or_prepared_is_not_quantized_again(exported) -> None:
    model = prepared(torchao_pt2e, exported)
    with pytest.raises(EnnError, match="the model is prepared already"):
        torchao_pt2e.prepare_pt2e(model, EnnQuantizer())
    calibrate(model, samples(1))
    converted = torch.export.export(torchao_pt2e.convert_pt2e(model), (samples(1)[0],)).module()
    for compatibility in ("DEFAULT", "UPSTREAM"):
        with pytest.raises(EnnError, match="the model is quantized already"):
            torchao_pt2e.prepare_pt2e(converted, EnnQuantizer(compatibility))
