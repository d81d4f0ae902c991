"""The guard from calibration: what 8 bits destroy stays in float, in every flow, and what is sound stays as it was."""

import copy
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from executorch.backends.samsung.quantizer import EnnQuantizer
from executorch.exir._serialize._program import deserialize_pte_binary
from test_search import ENN
from torch import nn
from torchao.quantization.pt2e import quantize_pt2e as torchao_pt2e

import common
import two_doors
from openenn import EnnError, _core, pt2e

FLOWS = {"torchao": torchao_pt2e, "openenn.pt2e": pt2e}


class Branches(nn.Module):
    """Two convolutional branches with batch norms and a pooling, joined in float."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.head = nn.Linear(36, 5)
        self.other = nn.Linear(144, 5)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head(self.first(x).flatten(1)), self.other(self.second(y).flatten(1))


class Differences(nn.Module):
    """Differences of neighbours that are nearly equal, beside what uses the values themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(1, 1, 1)
        self.high_pass = nn.Conv2d(1, 1, (1, 2), bias=False)
        nn.init.ones_(self.before.weight)
        nn.init.zeros_(self.before.bias)
        self.high_pass.weight.data = torch.tensor([[[[1.0, -1.0]]]])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.before(x)
        return self.high_pass(x).log1p(), x.relu()


def pairs(count: int, seed: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randn(1, 3, 8, 8, generator=generator) for _ in range(2)) for _ in range(count)]


def smooth(count: int, seed: int = 1) -> list[tuple[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (5 * torch.rand(1, 1, 1, 1, generator=generator) + 0.01 * torch.rand(1, 1, 8, 8, generator=generator),)
        for _ in range(count)
    ]


def with_outlier() -> list[tuple[torch.Tensor, torch.Tensor]]:
    samples = pairs(9)
    samples[4] = (samples[4][0] * 1e4, samples[4][1])
    return samples


def branches() -> nn.Module:
    torch.manual_seed(0)
    return Branches().eval()


def differences() -> nn.Module:
    torch.manual_seed(0)
    return Differences().eval()


def quantizer(guard: float | None = 6.0, observer: str = "minmax") -> EnnQuantizer:
    made = EnnQuantizer()
    made.set_observer(observer)
    made.set_guard(guard)
    return made


def converted(flow: ModuleType, model: nn.Module, samples: list, made: EnnQuantizer) -> torch.fx.GraphModule:
    prepared = flow.prepare_pt2e(torch.export.export(model, samples[0]).module(), made)
    with torch.no_grad():
        for sample in samples:
            prepared(*sample)
        return flow.convert_pt2e(prepared)


def sqnr(model: nn.Module, quantized: nn.Module, samples: list, output: int) -> float:
    with torch.no_grad():
        expected = torch.cat([model(*sample)[output] for sample in samples])
        actual = torch.cat([quantized(*sample)[output] for sample in samples])
    return float(10 * torch.log10(expected.square().sum() / (expected - actual).square().sum()))


def quantized_values(module: torch.fx.GraphModule) -> list[str]:
    """The operands of quantize nodes, and the constants that are dequantized."""
    targets = (node.target for node in module.graph.nodes)
    nodes = [node for node, target in zip(module.graph.nodes, targets, strict=True) if ".quantize_per" in str(target)]
    return sorted(str(node.args[0]) for node in nodes)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "openenn"]


@pytest.fixture(params=FLOWS)
def flow(request: pytest.FixtureRequest) -> ModuleType:
    return FLOWS[request.param]


def test_an_outlier_in_one_sample_spoils_nothing(flow: ModuleType, caplog) -> None:
    model, samples, typical = branches(), with_outlier(), pairs(4, seed=2)
    without = converted(flow, model, samples, quantizer(None))
    assert sqnr(model, without, typical, 0) < 3
    assert lines(caplog) == []
    made = quantizer()
    guarded = converted(flow, model, samples, made)
    assert sqnr(model, guarded, typical, 0) > 60
    # The other branch is in 8 bits as before.
    assert sqnr(model, guarded, typical, 1) == pytest.approx(sqnr(model, without, typical, 1), abs=1e-9)
    (guard_line,) = [line for line in lines(caplog) if line.startswith("the guard leaves in float")]
    assert "'x' (100 % become 0)" in guard_line
    assert "set_guard(None)" in guard_line
    assert sum(line.startswith("calibration: the range of 'x' reaches") for line in lines(caplog)) == 1
    rows = {row.name: row for row in made.explain().rows if row.kind != "constant"}
    for name in ("x", "conv2d", "max_pool2d", "linear"):
        assert rows[name].decision == "in float"
        assert "outliers make the range of" in rows[name].reason
    assert rows["y"].decision == "quantized"
    assert rows["linear_1"].decision == "quantized"


def test_a_layer_that_magnifies_rounding_runs_in_float(flow: ModuleType, caplog) -> None:
    model, samples = differences(), smooth(8)
    without = converted(flow, model, samples, quantizer(None))
    assert sqnr(model, without, samples, 0) < 6
    made = quantizer()
    guarded = converted(flow, model, samples, made)
    assert sqnr(model, guarded, samples, 0) > 20
    assert quantized_values(guarded)
    (line,) = lines(caplog)
    assert "'conv2d_1' (" in line
    row = next(row for row in made.explain().rows if row.name == "conv2d_1")
    assert (row.decision, row.operands) == ("in float", [])
    assert "it magnifies the rounding of what it reads" in row.reason


@pytest.mark.parametrize("observer", ["minmax", "mse"])
def test_what_is_sound_is_not_touched(flow: ModuleType, observer: str, caplog) -> None:
    model, samples = branches(), pairs(9)
    payloads = [
        common.lower(converted(flow, model, samples, quantizer(guard, observer)), samples[0]) for guard in (6.0, None)
    ]
    assert payloads[0].to_executorch().buffer == payloads[1].to_executorch().buffer
    assert lines(caplog) == []


def test_the_command_gives_the_same_bytes(tmp_path: Path) -> None:
    model, samples = differences(), smooth(8)
    module = converted(pt2e, model, samples, EnnQuantizer())
    program = common.lower(module, samples[0]).to_executorch().buffer
    (tmp_path / "recipe.json").write_text(EnnQuantizer().to_json())
    torch.export.save(torch.export.export(model, samples[0]), tmp_path / "m.pt2")
    np.save(tmp_path / "x.npy", torch.cat([sample for (sample,) in samples]).numpy())

    def payloads(*options: str) -> tuple[list[bytes], str]:
        command = [ENN, "quantize", "m.pt2", "--data", "x.npy", "--pte", "m.pte", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return two_doors.payloads_of(deserialize_pte_binary((tmp_path / "m.pte").read_bytes())), done.stderr

    guarded, said = payloads("--guard", "6")
    (line,) = [line for line in said.splitlines() if "the guard leaves in float" in line]
    assert "'conv2d_1' (" in line
    assert guarded == two_doors.payloads_of(deserialize_pte_binary(program))
    unguarded, said = payloads("--guard", "off", "--save-recipe", "off.json")
    assert "guard" not in said
    assert unguarded != guarded
    assert payloads("--recipe", "off.json")[0] == unguarded
    assert payloads("--recipe", "recipe.json")[0] == guarded


@pytest.mark.full
def test_mobilenet_is_not_touched(flow: ModuleType, caplog) -> None:
    common.make_torchvision_importable()
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    model = mobilenet_v2().eval()
    samples = [(torch.randn(1, 3, 96, 96),) for _ in range(4)]
    programs = []
    for guard in (6.0, None):
        made = EnnQuantizer()
        made.set_guard(guard)
        programs.append(common.lower(converted(flow, model, samples, made), samples[0]).to_executorch().buffer)
    assert programs[0] == programs[1]
    assert lines(caplog) == []


def test_settings_are_checked_and_kept() -> None:
    made = EnnQuantizer()
    assert made.guard == 6.0
    made.set_guard(12)
    assert EnnQuantizer.from_json(made.to_json()).guard == 12
    made.set_guard(None)
    assert EnnQuantizer.from_json(made.to_json()).guard is None
    assert EnnQuantizer("UPSTREAM").guard is None
    made = EnnQuantizer()
    made.set_quant_params("A8W8", True, True)
    assert made.guard is None
    with pytest.raises(EnnError, match="the guard's least signal over noise is -1 dB; it can be a number from 0 to"):
        made.set_guard(-1)


def test_calibration_that_cannot_be_trusted_is_said_once(flow: ModuleType, caplog) -> None:
    model, samples = branches(), pairs(3)

    def said(data: list) -> list[str]:
        caplog.clear()
        converted(flow, model, data, quantizer())
        return lines(caplog)

    (line,) = said(samples[:1])
    assert line.startswith("calibration: one sample only")
    (line,) = said(samples[:1] * 3)
    assert line.startswith("calibration: all 3 samples are the same")
    (line,) = said([(x, torch.ones_like(y)) for x, y in samples])
    assert "the same number is everywhere in 'y' (1)" in line
    assert said(samples) == []


def test_a_copy_of_a_prepared_model_is_guarded() -> None:
    model, samples = branches(), with_outlier()
    prepared = torchao_pt2e.prepare_pt2e(torch.export.export(model, samples[0]).module(), quantizer())
    copied = copy.deepcopy(prepared)
    with torch.no_grad():
        for sample in samples:
            copied(*sample)
        assert sqnr(model, torchao_pt2e.convert_pt2e(copied), pairs(4, seed=2), 0) > 60


@pytest.mark.parametrize(
    ("make", "samples"), [(branches, with_outlier()), (differences, smooth(8))], ids=["outlier", "differences"]
)
def test_all_flows_and_both_doors_decide_alike(make, samples, tmp_path: Path) -> None:
    model = make()
    modules = [converted(flow, model, samples, quantizer()) for flow in FLOWS.values()]
    assert quantized_values(modules[0]) == quantized_values(modules[1])
    program = torch.export.export(model, samples[0])
    core = _core.EnnQuantizer.from_json(quantizer().to_json())
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(path)), core, 2)
    for sample in samples:
        prepared.run([value.numpy() for value in sample])
    quantized = _core.convert_pt2e(prepared)
    names = {name for name, _ in quantized.guarded}
    made = quantizer()
    module = converted(torchao_pt2e, model, samples, made)
    reasons = ("outliers make the range of", "magnifie", "8 bits leave")
    rows = made.explain().rows
    assert names == {row.name for row in rows if any(reason in row.reason for reason in reasons)}
    typical = samples[0]
    outputs = quantized.run([value.numpy() for value in typical])
    for actual, expected in zip(outputs, module(*typical), strict=True):
        step = 1.01 * np.abs(expected.detach().numpy()).max() / 127
        np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=0, atol=step)
