"""Other names of known operators, and operators that are made of known ones: through both doors every float value in
them is quantized, and what they compute is what eager PyTorch computes."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from executorch.exir import to_edge_transform_and_lower
from torch import nn
from torch.nn import functional
from torch.utils import _pytree as pytree
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

import common
from openenn import _core, fx
from openenn.decompositions import decompose

KNOWN = {target for target, _, _ in _core.operators()}


def aliases() -> dict[str, str]:
    """What the documentation of PyTorch's functions says: a name, and the name of which it is an alias."""
    found = {}
    for prefix, owner in (("", torch), ("", torch.Tensor), ("special_", torch.special), ("linalg_", torch.linalg)):
        for name in dir(owner):
            text = str(getattr(getattr(owner, name), "__doc__", ""))
            match = re.search(r"[Aa]lias (?:for|of) :\w+:`~?(?:torch|Tensor)?\.?([\w.]+?)(?:\(\))?`", text)
            if match and hasattr(torch.ops.aten, prefix + name):
                found[prefix + name] = match[1].removeprefix("Tensor.").replace(".", "_")
    return found


def test_every_alias_of_a_known_operator_is_known() -> None:
    known = KNOWN | fx.COMPOSITES
    pairs = aliases()
    assert len(pairs) > 30
    missing = []
    for name, other in pairs.items():
        for alias, original in ((name, other), (other, name), (name + "_", other + "_")):
            packet = getattr(torch.ops.aten, alias, None)
            overloads = packet.overloads() if packet is not None else []
            missing += [
                f"aten.{alias}.{overload}"
                for overload in overloads
                if f"aten.{original}.{overload}" in known and f"aten.{alias}.{overload}" not in known
            ]
    assert missing == []


class Layers(nn.Module):
    """Recurrent layers of each kind with all that they may have: two directions, layers, projections, no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True)
        self.projected = nn.LSTM(6, 8, proj_size=3)
        self.gru = nn.GRU(6, 8, 2, bidirectional=True)
        self.tanh = nn.RNN(6, 8, bias=False)
        self.relu = nn.RNN(6, 8, 2, nonlinearity="relu")
        self.cells = nn.ModuleList([nn.LSTMCell(6, 8), nn.GRUCell(6, 8), nn.RNNCell(6, 8)])

    def forward(self, x: torch.Tensor) -> Any:
        layers = [layer(x) for layer in (self.lstm, self.projected, self.gru, self.tanh, self.relu)]
        return layers, [cell(x[0]) for cell in self.cells]


EQUATIONS = {
    "ni,mi->nm": ((4, 3), (5, 3)),
    "bhid,bhjd->bhij": ((2, 3, 4, 5), (2, 3, 6, 5)),
    "ij->ji": ((2, 3),),
    "iji->ij": ((3, 2, 3),),
    "ii": ((3, 3),),
    "bij,bjk,bkl->bil": ((2, 3, 4), (2, 4, 5), (2, 5, 3)),
    "...ij,...jk": ((2, 1, 3, 4), (3, 4, 5)),
    "bnd,dhk->bnhk": ((2, 3, 4), (4, 2, 5)),
    "i,j": ((3,), (4,)),
    "bi,bi->b": ((2, 3), (2, 3)),
    "abc,cd,ad->b": ((2, 3, 4), (4, 5), (2, 5)),
    "ij,ij->": ((2, 3), (2, 3)),
    "nchw,ncHW->nhwHW": ((1, 3, 2, 3), (1, 3, 2, 2)),
    "ab,bc->ac": ((3, 1), (4, 5)),
}


class Contractions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bilinear = nn.Bilinear(4, 5, 3)

    def forward(self, operands: list[list[torch.Tensor]], a: torch.Tensor, b: torch.Tensor) -> Any:
        sums = [torch.einsum(equation, *given) for equation, given in zip(EQUATIONS, operands, strict=True)]
        products = torch.tensordot(a, b.T, dims=([2], [1])), torch.outer(a[0, 0], b[:, 0])
        return sums, products, self.bilinear(a[0], b[:3])


class Elements(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        holes = x / x.floor()
        return [
            functional.glu(x, 1),
            torch.addcmul(x, x, y, value=0.5),
            torch.addcdiv(x, x, y.abs() + 1, value=0.5),
            torch.lerp(x, y, 0.3),
            torch.lerp(x, y, 0.7),
            torch.lerp(x, y, y.sigmoid()),
            torch.nan_to_num(holes),
            torch.nan_to_num(holes, 1.0, 2.0, 3.0),
            torch.isfinite(holes),
            torch.deg2rad(torch.rad2deg(x)),
            functional.normalize(x, dim=1),
            x.norm(),
            x.norm(3, 1),
            torch.linalg.norm(x, dim=1),
            *(torch.linalg.vector_norm(x, p, 1, keepdim=True) for p in (0, 1, float("inf"), -float("inf"))),
            functional.cosine_similarity(x, y),
            functional.pairwise_distance(x, y),
            torch.cdist(x, y[:1].expand(5, 6)),
            torch.cdist(x, y, p=1),
        ]


class Moves(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor, image: torch.Tensor) -> Any:
        stacks = [torch.hstack, torch.vstack, torch.dstack, torch.column_stack, torch.row_stack]
        return [
            *(stack(pair) for stack in stacks for pair in ([x, y], [x[0], y[0]])),
            *torch.meshgrid(x[0], y[:, 0], indexing="ij"),
            *torch.meshgrid(x[0], y[:, 0], indexing="xy"),
            *torch.broadcast_tensors(x[:, :1], y[0]),
            functional.unfold(image, (3, 2), dilation=(2, 1), padding=(1, 2), stride=(1, 2)),
            torch.fliplr(x) + torch.flipud(y),
            torch.linalg.diagonal(image, offset=1),
            x.tril(),
            x.triu(2),
            (x > 0).tril(-1),
            torch.full((4, 6), float("-inf")).triu(1) + x[0],
            torch.eye(2, 6) + x,
            torch.eye(6, dtype=torch.int64),
            torch.linspace(-1.3, 2.7, 37),
            functional.one_hot(x.argmax(-1), 6),
        ]


CASES = {
    "recurrent": (Layers, (torch.randn(5, 5, 6),)),
    "contractions": (
        Contractions,
        (
            [[torch.randn(shape) for shape in shapes] for shapes in EQUATIONS.values()],
            torch.randn(2, 3, 4),
            torch.randn(4, 5),
        ),
    ),
    "elements": (Elements, (torch.randn(2, 6), torch.randn(2, 6))),
    "moves": (Moves, (torch.randn(2, 6), torch.randn(2, 6), torch.randn(2, 3, 8, 9))),
}


@pytest.mark.forms
@pytest.mark.parametrize("name", CASES)
def test_composites_become_known_operators_through_both_doors(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, inputs = CASES[name]
    model = make().eval()
    program = torch.export.export(model, inputs)
    torch.export.save(program, tmp_path / "model.pt2")
    read = _core.ExportedProgram.load(str(tmp_path / "model.pt2"))
    decomposed = read.transform_for_annotation()
    expected = pytree.tree_leaves(model(*inputs))

    by_fx = program.module()
    decompose(by_fx)
    assert calls_of(fx.import_module(by_fx).graph) == calls_of(decomposed.graph)
    assert not [node for node in by_fx.graph.nodes if str(node.target) in fx.COMPOSITES]
    assert_equal(pytree.tree_leaves(by_fx(*inputs)), expected)

    arrays = [tensor.contiguous() for tensor in pytree.tree_leaves(inputs)]
    for graph in (read.graph, decomposed.graph):
        results = _core.Model.compile(graph, "qdq", 1).run(arrays)
        assert_equal([torch.from_numpy(result) for result in results], expected)

    decomposed.save(str(tmp_path / "written.pt2"))
    written = torch.export.load(tmp_path / "written.pt2")
    assert not [node for node in written.graph.nodes if str(node.target) in fx.COMPOSITES]
    assert_equal(pytree.tree_leaves(written.module()(*inputs)), expected)


def calls_of(graph: _core.Graph) -> list[str]:
    """The calls of a graph, without their names."""
    return sorted(line.split(" from ")[1] for line in str(graph).splitlines() if " from " in line)


def assert_equal(actual: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    """Float sums may be added up in another order than PyTorch's."""
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-6, equal_nan=True)


class Head(nn.Module):
    """What this page is about, between linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.lstm = nn.LSTM(8, 4, batch_first=True)
        self.gru = nn.GRU(8, 4, batch_first=True)
        self.last = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.dropout1d(self.first(x), 0.5, self.training).clip(-3, 3)
        z = torch.multiply(self.lstm(y)[0], self.gru(y)[0])
        z = torch.subtract(functional.glu(torch.cat([z, z], -1), -1), torch.special.expit(z).negative())
        z = torch.einsum("btc,bsc->bts", z, functional.normalize(z, dim=-1))
        return self.last(z + torch.eye(4))


class LogitHead(Head):
    """With an operator that only PyTorch decomposes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).logit(0.01)


def quantized(model: nn.Module, samples: list[torch.Tensor], **options: Any) -> tuple[torch.fx.GraphModule, list]:
    quantizer = EnnQuantizer()
    prepared = prepare_pt2e(torch.export.export(model, (samples[0],), **options).module(), quantizer)
    with torch.no_grad():
        for sample in samples:
            prepared(sample)
    return convert_pt2e(prepared), quantizer.explain().rows


def test_composites_are_quantized_and_delegated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, samples = Head().eval(), [torch.randn(2, 4, 6) for _ in range(8)]
    batch = {"x": {0: torch.export.Dim("batch", min=1, max=8)}}
    converted, rows = quantized(model, samples, dynamic_shapes=batch)
    assert not [row.name for row in rows if "not among" in (row.reason or "")]
    layers = [row for row in rows if row.operator in ("aten.linear.default", "aten.matmul.default")]
    assert len(layers) == 2 + 2 * (1 + 4) + 1
    assert {row.decision for row in layers} == {"quantized"}
    program = torch.export.export(converted, (samples[0],), dynamic_shapes=batch)
    partitioner = EnnPartitioner()
    lowered = to_edge_transform_and_lower(program, partitioner=[partitioner])
    assert partitioner.reasons == {}
    pte = common.Pte(lowered.to_executorch().buffer)
    for size in (1, 2, 5):
        x = torch.randn(size, 4, 6)
        torch.testing.assert_close(pte(x), converted(x), rtol=1e-5, atol=1e-5)


def test_what_only_pytorch_decomposes_is_quantized_by_its_door_and_named_by_the_other(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = LogitHead().eval(), torch.randn(2, 4, 6)
    _, rows = quantized(model, [x])
    assert not [row.name for row in rows if "not among" in (row.reason or "")]
    program = torch.export.export(model, (x,))
    torch.export.save(program, tmp_path / "whole.pt2")
    with pytest.raises(_core.EnnError, match=r"aten\.logit\.default.*run_decompositions\(\)"):
        _core.prepare_pt2e(_core.ExportedProgram.load(str(tmp_path / "whole.pt2")), _core.EnnQuantizer())
    torch.export.save(program.run_decompositions(), tmp_path / "decomposed.pt2")
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(tmp_path / "decomposed.pt2")), _core.EnnQuantizer())
    torch.testing.assert_close(torch.from_numpy(prepared.run([x.numpy()])[0]), model(x), rtol=1e-5, atol=1e-5)


def test_a_recurrent_archive_is_quantized_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 6), nn.LSTM(6, 4)).eval(), torch.randn(3, 2, 6)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(tmp_path / "model.pt2")), _core.EnnQuantizer())
    prepared.run([x.numpy()])
    _core.convert_pt2e(prepared).exported_program.save(str(tmp_path / "quantized.pt2"))
    loaded = torch.export.load(tmp_path / "quantized.pt2")
    assert "lstm" not in loaded.graph_module.code
    torchaos, _ = quantized(model, [x])
    again = torch.export.export(torchaos, (x,))
    assert quantizations(loaded) == quantizations(again)


def quantizations(program: torch.export.ExportedProgram) -> int:
    """torchao leaves some that nothing reads."""
    return sum("quantize_per" in str(node.target) and len(node.users) > 0 for node in program.graph.nodes)
