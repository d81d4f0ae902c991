"""openenn.quantize and `enn quantize --max-drop`: one search, one recipe, the same program through both doors."""

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.exir._serialize._program import deserialize_pte_binary
from torch import nn

import openenn
import two_doors

ENN = Path(os.environ.get("ENN_COMMAND", Path(sysconfig.get_path("scripts"), "enn")))


class Planted(nn.Module):
    """The second convolution has huge weights for a channel that is always 0: beside them its others round to 0."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.ReLU())
        self.head = nn.Conv2d(8, 4, 1, bias=False)
        with torch.no_grad():
            self.stem[0].weight[3] = 0
            self.body[0].weight[:, 3] = 1000

    def forward(self, x):
        return self.head(self.body(self.stem(x)))


def unguarded() -> openenn.EnnQuantizer:
    """The guard would leave the planted layer in float without a search."""
    quantizer = openenn.EnnQuantizer()
    quantizer.set_guard(None)
    return quantizer


class Case:
    def __init__(self, folder: Path) -> None:
        torch.manual_seed(4)
        self.folder = folder
        self.model = Planted().eval()
        self.samples = [torch.randn(1, 3, 8, 8) for _ in range(4)]
        self.exported = torch.export.export(self.model, (self.samples[0],))
        torch.export.save(self.exported, folder / "m.pt2")
        np.save(folder / "x.npy", torch.cat(self.samples).numpy())
        np.save(folder / "y.npy", torch.cat([sample.flip(0) * 0.9 for sample in self.samples]).numpy())
        self.calls = 0
        self.result = openenn.quantize(
            self.exported,
            self.samples,
            self.cosine,
            0.001,
            quantizer=unguarded(),
            resume=folder / "python.json",
            threads=1,
        )

    def cosine(self, function) -> float:
        self.calls += 1
        with torch.no_grad():
            expected = torch.cat([self.model(sample) for sample in self.samples])
        got = torch.cat([*map(function, self.samples)])
        return float(nn.functional.cosine_similarity(got.flatten(), expected.flatten(), 0))


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("search"))


def enn(*arguments: object, code: int = 0) -> str:
    done = subprocess.run([ENN, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


PLANTED = [{"module": "body.0", "operator": "convolution"}, {"module": "body.1", "operator": "relu"}]


def test_planted_layer_is_left_in_float(case) -> None:
    result = case.result
    assert json.loads(result.recipe)["excluded"] == PLANTED
    assert result.metric >= result.float_metric - 0.001
    assert result.metric == case.cosine(openenn.quantize(case.exported, case.samples, recipe=result.recipe).module)
    assert [decision["what"] for decision in result.decisions] == ["body.0 relu_1 in float"]
    assert result.decisions[0]["metric_before"] < result.float_metric - 0.001
    assert (result.macs, result.macs_in_float) == (64 * (8 * 27 + 8 * 72 + 4 * 8), 64 * 8 * 72)


def test_search_goes_on_without_evaluating_again(case) -> None:
    before = case.calls
    again = openenn.quantize(
        case.exported,
        case.samples,
        case.cosine,
        0.001,
        quantizer=unguarded(),
        resume=case.folder / "python.json",
        threads=1,
    )
    assert case.calls == before
    assert again.recipe == case.result.recipe
    other = torch.export.export(nn.Conv2d(3, 8, 1), (case.samples[0],))
    with pytest.raises(openenn.InvalidArgumentError, match=r"python\.json: it has evaluations of another model"):
        openenn.quantize(other, case.samples, case.cosine, resume=case.folder / "python.json")


def test_recipe_gives_the_same_program_in_both_doors(case) -> None:
    folder = case.folder
    case.result.save_recipe(folder / "recipe.json")
    enn("quantize", folder / "m.pt2", "--recipe", folder / "recipe.json", "--data", folder / "x.npy", "--pte",
        folder / "m.pte")  # fmt: skip
    exported = torch.export.export(case.result.module, (case.samples[0],))
    python = to_edge_transform_and_lower(exported, partitioner=[EnnPartitioner()]).to_executorch().buffer
    command = (folder / "m.pte").read_bytes()
    payloads = [two_doors.payloads_of(deserialize_pte_binary(pte)) for pte in (python, command)]
    assert payloads[0] == payloads[1]


def test_command_searches_too(case) -> None:
    folder = case.folder
    arguments = ["quantize", folder / "m.pt2", "--data", folder / "x.npy", "--search-file", folder / "command.json"]
    arguments += ["--evaluation-data", folder / "y.npy", "--metric", "cosine", "--guard", "off"]
    report = json.loads(enn(*arguments, "--max-drop", 0.001, "--save-recipe", folder / "r.json", "--json"))
    assert report["layers_in_float"] == ["body.0 relu_1"]
    assert report["metric"] >= 0.999
    assert json.loads((folder / "r.json").read_text())["excluded"] == PLANTED
    done = openenn.quantize(case.exported, case.samples, recipe=folder / "r.json")
    assert done.macs_in_float == case.result.macs_in_float
    sentence = enn(*arguments, "--max-drop", 0, "--max-layers", 1, "--save-recipe", folder / "none.json", code=1)
    assert "the metric cannot be kept at 1 (in float it is 1): with 1 layer in float it is 0.99" in sentence
    assert not (folder / "none.json").exists()
    assert "--metric belongs to --max-drop" in enn(
        "quantize", folder / "m.pt2", "-o", folder / "q.pt2", "--data", folder / "x.npy", "--metric", "cosine", code=1
    )


class Cell(nn.Module):
    """A composite operator, which the engine does not have, in the model as it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 8)

    def forward(self, x, h, c):
        return self.cell(x, (h, c))


def test_float_model_runs_in_the_engine() -> None:
    model = Cell().eval()
    samples = [tuple(torch.randn(1, size) for size in (4, 8, 8)) for _ in range(2)]
    seen = []

    def evaluate(function) -> float:
        seen.append(function(*samples[0]))
        return 1.0

    assert openenn.quantize(model, samples, evaluate).metric == 1.0
    with torch.no_grad():
        for got, expected in zip(seen[0], model(*samples[0]), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)  # float32, another order of the sums


def test_what_cannot_be_searched_is_said(case) -> None:
    with pytest.raises(openenn.InvalidArgumentError, match="give a list or a DataLoader"):
        openenn.quantize(case.exported, iter(case.samples), case.cosine)
    with pytest.raises(openenn.InvalidArgumentError, match="the float model's metric is not a number"):
        openenn.quantize(case.exported, case.samples, lambda function: float("nan"))
    with pytest.raises(openenn.InvalidArgumentError, match="max_drop is -1"):
        openenn.quantize(case.exported, case.samples, case.cosine, -1)
