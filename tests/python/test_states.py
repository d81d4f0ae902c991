"""Models that change their buffers, through the C++ door: in PyTorch, in the engine and in ExecuTorch alike."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from executorch.runtime import Runtime
from torch import nn

from openenn import _core

CALLS = 5


class Stateful(nn.Module):
    """Buffers and layers as attributes, `forward` as a function."""

    def __init__(self, function: Callable, **buffers: torch.Tensor):
        super().__init__()
        torch.manual_seed(0)
        self.function = function
        self.layer, self.other, self.out = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, *inputs: torch.Tensor):
        return self.function(self, *inputs)


def cache(s, x, place):
    return s.rows.index_put_((place,), s.layer(x)) * 1.0


def attention(s, x, place):
    s.rows.index_copy_(0, place, s.layer(x))
    return torch.softmax(s.other(x) @ s.rows.t(), -1) @ s.rows


def average(s, x):
    s.mean.mul_(0.9).add_(s.layer(x))
    return s.out(s.mean)


def recurrent(s, x):
    s.hidden = torch.tanh(s.layer(x) + s.other(s.hidden))
    return s.out(s.hidden)


def counter(s, x):
    s.count.add_(1)
    return s.layer(x) * s.count, s.count


def delays(s, x):
    before = s.second.clone()
    s.second.copy_(s.first)
    s.first.copy_(x)
    return s.layer(x) - s.second, before


def views(s, x):
    first, _ = s.rows.split(1)
    first.add_(1)
    s.rows[:, 1:3].mul_(0.5)
    s.rows.view(-1)[0] = x[0, 0]
    s.rows.t()[1:2] -= x[:, :2]
    s.rows.unbind(1)[3].fill_(2.5)
    s.rows.narrow(0, 1, 1).add_(s.layer(x))
    return s.out(s.rows)


def one(i: int):
    return (torch.randn(1, 4),)


def placed(i: int):
    return torch.randn(1, 4), torch.tensor([i % 3])


CASES = {
    "cache": (Stateful(cache, rows=torch.zeros(3, 4)), placed),
    "attention": (Stateful(attention, rows=torch.zeros(3, 4)), placed),
    "average": (Stateful(average, mean=torch.ones(1, 4)), one),
    "recurrent": (Stateful(recurrent, hidden=torch.ones(1, 4)), one),
    "counter": (Stateful(counter, count=torch.tensor(3)), one),
    "delays": (Stateful(delays, first=torch.ones(1, 4), second=torch.zeros(1, 4)), one),
    "views": (Stateful(views, rows=torch.ones(2, 4)), one),
}


def results_of(run: Callable, samples: list[tuple[torch.Tensor, ...]]) -> list[list[np.ndarray]]:
    """What each of the calls gives."""
    out = []
    for sample in samples:
        result = run(*sample)
        result = result if isinstance(result, (tuple, list)) else (result,)
        out.append([np.array(item) for item in result])
    return out


def engine(run: Callable) -> Callable:
    return lambda *sample: run([item.numpy() for item in sample])


def assert_same(actual: list[list[np.ndarray]], expected: list[list[np.ndarray]], tolerance: float) -> None:
    for call, (some, others) in enumerate(zip(actual, expected, strict=True)):
        for a, b in zip(some, others, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"call {call}")


@pytest.mark.forms
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_buffer_keeps_its_value_in_every_way_of_running(name: str, tmp_path: Path):
    model, sample = CASES[name]
    torch.manual_seed(1)
    samples = [sample(i) for i in range(CALLS)]
    expected = results_of(copy.deepcopy(model).eval(), samples)
    assert any(not np.array_equal(a, b) for a, b in zip(expected[0], expected[1], strict=True))

    program = torch.export.export(copy.deepcopy(model).eval(), samples[0])
    quantized = []
    for kind, exported in (("in_place", program), ("functional", program.run_decompositions())):
        torch.export.save(exported, tmp_path / f"{kind}.pt2")
        read = _core.ExportedProgram.load(str(tmp_path / f"{kind}.pt2"))
        assert len(read.inputs) == len(samples[0])
        assert len(read.outputs) == len(expected[0])
        compiled = _core.Model.compile_program(read)
        assert_same(results_of(engine(compiled.run), samples), expected, 1e-5)
        compiled.reset()
        assert_same(results_of(engine(compiled.run), samples[:1]), expected[:1], 1e-5)
        prepared = _core.prepare_pt2e(read, _core.EnnQuantizer())
        assert_same(results_of(engine(prepared.run), samples), expected, 1e-5)
        quantized.append(_core.convert_pt2e(prepared))
    result = quantized[0]

    qdq = results_of(engine(lambda inputs: result.run(inputs, "qdq")), samples)
    largest = max(np.abs(item).max() for call in expected for item in call)
    assert_same(qdq, expected, 0.02 * largest)  # five roundings to steps of 1/255 of the range
    integer = results_of(engine(lambda inputs: result.run(inputs, "integer")), samples)

    # The archive that is written is PyTorch's again, with the buffers.
    archive, lowered = tmp_path / "quantized.pt2", tmp_path / "quantized.pte"
    result.exported_program.save(str(archive))
    loaded = torch.export.load(archive).module()
    assert_same(results_of(loaded, samples), qdq, 1e-5)
    for key, before in model.named_buffers():
        after = dict(loaded.named_buffers())[key]
        assert after.dtype == before.dtype
        assert not torch.equal(after, before)

    subprocess.run(["enn", "lower", archive, "-o", lowered], check=True, capture_output=True)
    method = Runtime.get().load_program(lowered).load_method("forward")
    executed = results_of(lambda *inputs: [item.clone() for item in method.execute(list(inputs))], samples)
    for some, others in zip(executed, integer, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_the_command_keeps_buffers_and_takes_inputs_of_different_first_sizes(tmp_path: Path):
    def mixed(s, x, m):
        s.mean.mul_(0.5).add_(x)
        return s.layer(s.mean) @ m, s.mean

    torch.manual_seed(1)
    x, m = torch.randn(8, 4), torch.randn(32, 2)
    model = Stateful(mixed, mean=torch.ones(1, 4)).eval()
    torch.export.save(torch.export.export(copy.deepcopy(model), (x[:1], m[:4])), tmp_path / "m.pt2")
    np.savez(tmp_path / "data.npz", inputs_0=x.numpy(), inputs_1=m.numpy())
    with torch.no_grad():
        samples = [(x[i : i + 1], m[4 * i : 4 * i + 4]) for i in range(8)]
        expected = results_of(model, samples)

    def enn(*arguments: object, code: int = 0) -> str:
        done = subprocess.run(["enn", *map(str, arguments)], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    enn("quantize", "m.pt2", "-o", "q.pt2", "--pte", "q.pte", "--calibration", "data.npz")
    enn("run", "m.pt2", "--data", "data.npz", "-o", "out")
    (out, mean) = (np.load(file) for file in sorted((tmp_path / "out").glob("*.npy")))
    both = {out.shape[-1]: out, mean.shape[-1]: mean}
    np.testing.assert_allclose(both[2].reshape(8, 1, 2), [call[0] for call in expected], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(both[4].reshape(8, 1, 4), [call[1] for call in expected], rtol=1e-5, atol=1e-5)

    report = json.loads(enn("evaluate", "m.pt2", "q.pt2", "q.pte", "--data", "data.npz", "--json"))
    assert [model["name"] for model in report["models"]] == ["float", "qdq", "integer", "pte"]
    for figures in report["models"][1:]:
        layer, state = figures["outputs"]
        assert (layer["output"], state["output"]) == (0, 1)
        assert layer["sqnr"] > 25
        assert state["sqnr"] is None or state["sqnr"] > 100  # the average is not quantized
    integer, pte = ([output["sqnr"] for output in figures["outputs"]] for figures in report["models"][2:])
    assert integer == pte
    (single,) = json.loads(enn("evaluate", "m.pt2", "--data", "data.npz", "--output", 1, "--json"))["models"]
    assert "outputs" not in single
    table = enn("evaluate", "m.pt2", "q.pt2", "--data", "data.npz")
    assert table.count("SQNR dB") == 2

    np.savez(tmp_path / "odd.npz", inputs_0=x.numpy(), inputs_1=m[:31].numpy())
    message = enn("evaluate", "m.pt2", "--data", "odd.npz", code=1)
    assert "'inputs_1' has 31 rows, which is not a multiple of the 4" in message
