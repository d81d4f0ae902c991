"""quantizer.explain() and partitioner.explain(): a row for everything, with the line of the eager model."""

import inspect
import io
import json

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from executorch.exir import to_edge_transform_and_lower
from rich.console import Console
from torch import nn
from torch.nn import functional
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation

import common
from openenn import EnnError


class Model(nn.Module):
    """Operators that are quantized, fused, shared, split, of integers, and unknown to the engine."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 8, 3)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.relu(self.convolution(x))
        first, second = x.split(4, 1)
        x = torch.cat([first, torch.sigmoid(second)], 1)
        return functional.interpolate(x, (3, 3), mode="bilinear", antialias=True).flatten(1), ids + 1


INPUTS = (torch.randn(1, 4, 8, 8), torch.arange(3))
SMALLER = "_upsample_bilinear2d_aa"


def line_of(text: str) -> str:
    lines, start = inspect.getsourcelines(Model)
    (offset,) = [i for i, line in enumerate(lines) if text in line]
    return f"{__file__}:{start + offset}"


@pytest.fixture(scope="module")
def reports() -> tuple:
    quantizer, partitioner = EnnQuantizer(), EnnPartitioner()

    def leave_concatenation(module: torch.fx.GraphModule) -> None:
        for node in module.graph.nodes:
            if str(node.target) == "aten.cat.default":
                node.meta["quantization_annotation"] = QuantizationAnnotation(_annotated=True)

    quantizer.add_custom_quant_annotations([leave_concatenation])
    exported = torch.export.export(Model().eval(), INPUTS).module()
    names = {node.name for node in exported.graph.nodes if node.op in ("placeholder", "call_function")}
    prepared = prepare_pt2e(exported, quantizer)
    prepared(*INPUTS)
    edge = common.lower(convert_pt2e(prepared), INPUTS, partitioner)
    return names, edge, quantizer.explain(), partitioner.explain()


def test_quantizer_explains_every_node(reports: tuple) -> None:
    names, _, report, _ = reports
    rows = {row["name"]: row for row in json.loads(report.json())}
    assert {name for name in names if "getitem" not in name} <= rows.keys()
    assert rows["x"]["result"] == {"dtype": "int8", "scheme": "per_tensor_affine", "observer": "Mse"}
    assert "int64" in rows["ids"]["reason"]
    assert rows["conv2d"]["decision"] == "quantized"
    assert rows["conv2d"]["details"] == {"fused with": "relu"}
    assert rows["conv2d"]["operands"]["convolution_weight"]["scheme"] == "per_channel_symmetric"
    assert rows["conv2d"]["source"] == line_of("torch.relu")
    assert rows["relu"]["decision"] == "fused"
    assert rows["relu"]["details"] == {"fused with": "conv2d"}
    assert rows["convolution_bias"]["decision"] == "in float"
    assert rows["sigmoid"]["result"]["zero_point"] == "-128"
    assert rows["cat"]["decision"] == "annotated by others"
    assert rows[SMALLER]["decision"] == "in float"
    assert "aten._upsample_bilinear2d_aa.vec" in rows[SMALLER]["reason"]
    assert rows[SMALLER]["advice"]
    assert rows[SMALLER]["source"] == line_of("functional.interpolate")
    assert "int64" in rows["add"]["reason"]
    assert {"split[0]", "split[1]"} <= rows.keys() or {"split_with_sizes[0]"} <= rows.keys()
    for row in rows.values():
        assert row["decision"] == "quantized" or row["decision"] == "fused" or row["reason"]


def test_partitioner_explains_every_node(reports: tuple) -> None:
    _, edge, _, report = reports
    rows = {row["name"]: row for row in json.loads(report.json())}
    (smaller,) = [row for row in rows.values() if "_aa" in row.get("operator", "")]
    assert smaller["decision"] == "left out"
    assert smaller["advice"]
    (convolution,) = [row for row in rows.values() if "aten.conv" in row.get("operator", "")]
    assert (convolution["decision"], convolution["details"]) == ("delegated", {"partition": "0"})
    for row in rows.values():
        assert row.get("details", {}).get("partition") is not None or row["reason"]
    left = {name for name, row in rows.items() if row["kind"] == "node" and row["decision"] == "left out"}
    graph = edge.exported_program().graph
    outside = {node.name for node in graph.nodes if node.op == "call_function"}
    assert left == {name for name in outside if "executorch_call_delegate" not in name and "getitem" not in name}


def test_reports_are_shown(reports: tuple) -> None:
    for report in reports[2:]:
        lines = str(report).splitlines()
        assert lines[0].split() == ["name", "operator", "decision", "how", "source"]
        assert all(any(line.startswith(row.name) for line in lines) for row in report.rows)
        console = Console(width=200, file=io.StringIO())
        console.print(report)
        text = console.file.getvalue()
        assert report.title in text
        assert "what would help" in text


def test_there_is_nothing_to_explain_before() -> None:
    for stage in (EnnQuantizer(), EnnPartitioner()):
        with pytest.raises(EnnError, match="none was"):
            stage.explain()


class Selected(nn.Module):
    """How many rows are left is the value of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(8, 8)
        self.after = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        rows = count.item()
        torch._check(rows >= 1)
        torch._check(rows <= x.shape[0])
        return self.head(self.after(self.before(x)[:rows]).sum(0))


def test_what_depends_on_values_is_left_to_others_with_the_reason() -> None:
    torch.manual_seed(0)
    model, inputs = Selected().eval(), (torch.randn(6, 8), torch.tensor(3))
    quantizer = EnnQuantizer()
    prepared = prepare_pt2e(torch.export.export(model, inputs).module(), quantizer)
    rows = {row.name: row for row in quantizer.explain().rows}
    reason = "it depends on 'item', which is computed from values; the engine takes sizes that follow from those of the"
    for name in ("slice_1", "linear_1", "relu", "sum_1"):
        assert rows[name].decision == "in float"
        assert rows[name].reason.startswith(reason)
        assert "dynamic_shapes" in rows[name].advice
    assert rows["linear"].decision == rows["linear_2"].decision == "quantized"
    prepared(*inputs)
    quantized = convert_pt2e(prepared)
    partitioner = EnnPartitioner()
    lowered = common.lower(quantized, inputs, partitioner)
    assert all("computed from values" in text or "depends on values" in text for text in partitioner.reasons.values())
    program = common.Pte(lowered.to_executorch().buffer)
    for count in (1, 6):
        inputs = (torch.randn(6, 8), torch.tensor(count))
        step = common.output_scale(quantized)
        torch.testing.assert_close(program(*inputs), quantized(*inputs), atol=1.01 * step, rtol=0)


class Placed(nn.Module):
    """A number from one operator of the engine comes back to another, but by no tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(x)
        place = y.argmax().item()
        return y * torch.full((3,), place).float()


def test_partitions_do_not_depend_on_themselves_by_way_of_numbers() -> None:
    x = torch.tensor([-1.0, 2.0, 0.5])
    lowered = common.lower(Placed(), (x,))
    calls = [node for node in lowered.exported_program().graph.nodes if "call_delegate" in node.name]
    assert len(calls) == 2
    assert torch.equal(common.Pte(lowered.to_executorch().buffer)(x), Placed()(x))


class Overwritten(nn.Module):
    """What another backend computes is overwritten by the engine, which reads nothing of it."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        bounded = torch.tanh(x)
        return functional.interpolate(bounded, (3, 3), mode="bilinear", antialias=True).copy_(y) + bounded


def test_partitions_do_not_depend_on_themselves_by_way_of_what_is_overwritten() -> None:
    inputs = torch.randn(1, 1, 3, 3), torch.randn(1, 1, 3, 3)
    lowered = common.lower(Overwritten(), inputs)
    actual = common.Pte(lowered.to_executorch().buffer)(*inputs)
    assert torch.allclose(actual, Overwritten()(*inputs), rtol=1e-5)


def test_lowering_leaves_the_exported_program_its_constants() -> None:
    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.tensor([2.0, 3.0])

    x = torch.randn(4, 2)
    exported = torch.export.export(Scaled(), (x,))
    to_edge_transform_and_lower(exported, partitioner=[EnnPartitioner()])
    torch.testing.assert_close(exported.module()(x), x * torch.tensor([2.0, 3.0]), rtol=0, atol=0)
