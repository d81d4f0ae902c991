"""Archives of torch.export.save: the core reads the graph that the FX import gives for the same program."""

from pathlib import Path

import pytest
import torch
from torch.export import ExportedProgram
from torch.nn import functional

import common
from openenn import EnnError, _core, fx


class Nested(torch.nn.Module):
    """Tied and strided weights, all kinds of constants, nested inputs and outputs, results of several tensors."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1).to(memory_format=torch.channels_last)
        self.norm = torch.nn.BatchNorm2d(8)
        self.linear = torch.nn.Linear(8, 4)
        self.tied = self.linear.weight
        self.constant = torch.arange(8.0)[::2]
        self.register_buffer("temporary", torch.ones(4), persistent=False)

    def forward(self, x, more):
        x = functional.relu(self.norm(self.conv(x)))
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        a, b = x.split(4, 1)
        y = self.linear(x) + self.constant + self.temporary + torch.tensor([1.0, 2.0, 3.0, 4.0])
        y = functional.linear(y, self.tied.t()).clamp(min=-1.0).to(torch.float16).to(torch.float32)
        return {"y": y, "pair": [a * more["s"], b + more["q"][0]], "max": list(torch.max(x, 1)), "none": None, "3": 3}


class Attention(torch.nn.Module):
    """Scalars, infinities, dtypes and lists as arguments; an operator that the core does not know."""

    def forward(self, x):
        mask = torch.full((4, 4), float("-inf")).triu(1)
        x = functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)
        x = functional.layer_norm(x, [8]).permute(0, 2, 1).sum([1], keepdim=True, dtype=torch.float32)
        return functional.pad(x, (1, 2), value=0.5), torch.special.bessel_j0(x)


class Counter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(2))

    def forward(self, x):
        self.count.add_(1)
        return x + self.count


def nested() -> ExportedProgram:
    more = {"s": torch.randn(2, 4), "q": [torch.randn(1)]}
    return torch.export.export(Nested().eval(), (torch.randn(2, 3, 8, 8), more))


def quantized() -> ExportedProgram:
    torch.manual_seed(0)
    inputs = (torch.randn(1, 3, 8, 8),)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 5))
    return torch.export.export(common.quantize(model.eval(), [inputs], inputs), inputs)


PROGRAMS = {
    "nested": nested,
    "quantized": quantized,
    "attention": lambda: torch.export.export(Attention(), (torch.randn(2, 4, 8),)),
    "mutated": lambda: torch.export.export(Counter(), (torch.randn(2),)).run_decompositions(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_graph_is_that_of_the_fx_import(name: str, tmp_path: Path):
    program = PROGRAMS[name]()
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    assert str(_core.read_exported_program(str(path))) == str(fx.import_program(program).graph)


def test_payload_is_that_of_the_fx_import(tmp_path: Path):
    program = quantized()
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    from_archive, _ = _core.compile(_core.read_exported_program(str(path)))
    from_program, _ = _core.compile(fx.import_program(program).graph)
    assert from_archive == from_program


def test_a_dynamic_shape_is_refused(tmp_path: Path):
    path = tmp_path / "model.pt2"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.randn(4, 3),), dynamic_shapes=shapes), path)
    with pytest.raises(EnnError, match=r"has a dynamic shape; only static shapes"):
        _core.read_exported_program(str(path))


def test_damage_is_a_sentence(tmp_path: Path):
    path = tmp_path / "model.pt2"
    torch.export.save(quantized(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EnnError, match="the archive is damaged: it has no zip directory"):
        _core.read_exported_program(str(path))
    at = whole.index(b"torch.ops.aten")
    path.write_bytes(whole[:at] + b"T" + whole[at + 1 :])
    with pytest.raises(EnnError, match="does not have its checksum"):
        _core.read_exported_program(str(path))
    with pytest.raises(EnnError, match="cannot open"):
        _core.read_exported_program(str(tmp_path / "none.pt2"))
