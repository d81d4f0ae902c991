"""Archives of torch.export.save: the core reads the graph that the FX import gives for the same program."""

from pathlib import Path

import numpy as np
import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.exir import to_edge_transform_and_lower
from torch.export import ExportedProgram
from torch.nn import functional

import common
from openenn import EnnError, _core, fx
from openenn.decompositions import decompose


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


class ElementTypes(torch.nn.Module):
    """Element types that the engine does not know, of values and of constants, conjugated ones among them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.arange(4, dtype=torch.bfloat16))
        self.register_buffer("turn", torch.tensor([1j, 2 - 1j, 0.5]))
        self.register_buffer("small", torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn))
        self.register_buffer("places", torch.tensor([1, 40000], dtype=torch.uint16))

    def forward(self, x):
        spectrum = torch.fft.rfft(x) * self.turn * 2j
        rest = self.small.to(torch.float32).sum() + self.places.to(torch.int32).sum()
        return (x.bfloat16() + self.offset).float() + rest, torch.view_as_real(spectrum.conj().resolve_conj())


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
    "element types": lambda: torch.export.export(ElementTypes(), (torch.randn(2, 4),)),
    "attention": lambda: torch.export.export(Attention(), (torch.randn(2, 4, 8),)),
    "mutated": lambda: torch.export.export(Counter(), (torch.randn(2),)).run_decompositions(),
}


def read(path: Path) -> _core.Graph:
    return _core.ExportedProgram.load(str(path)).graph


@pytest.mark.parametrize("name", PROGRAMS)
def test_graph_is_that_of_the_fx_import(name: str, tmp_path: Path):
    program = PROGRAMS[name]()
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    assert str(read(path)) == str(fx.import_program(program).graph)


def test_payload_is_that_of_the_fx_import(tmp_path: Path):
    program = quantized()
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    from_archive, _ = _core.compile(read(path))
    from_program, _ = _core.compile(fx.import_program(program).graph)
    assert from_archive == from_program


class Attending(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self._options = options

    def forward(self, q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, **self._options)


HEADS = ((2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 8))
ATTENTIONS = {
    "plain": (Attending(), HEADS),
    "scaled": (Attending(scale=0.3), ((4, 5, 8), (4, 6, 8), (4, 6, 3))),
    "causal": (Attending(is_causal=True), HEADS),
    "masked": (Attending(attn_mask=torch.randn(5, 6)), HEADS),
    "chosen": (Attending(attn_mask=torch.arange(30).reshape(5, 6) > 7), HEADS),
    "grouped": (Attending(enable_gqa=True), ((2, 4, 5, 8), (2, 2, 6, 8), (2, 2, 6, 8))),
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_is_decomposed_as_by_the_python_door(name: str, tmp_path: Path):
    module, shapes = ATTENTIONS[name]
    inputs = tuple(torch.randn(shape) for shape in shapes)
    program = torch.export.export(module, inputs)
    path, written = tmp_path / "model.pt2", tmp_path / "decomposed.pt2"
    torch.export.save(program, path)
    transformed = _core.ExportedProgram.load(str(path)).transform_for_annotation()
    by_fx = program.module()
    decompose(by_fx)
    assert calls(transformed.graph) == calls(fx.import_module(by_fx).graph)
    transformed.save(str(written))
    loaded = torch.export.load(written)
    assert "scaled_dot_product_attention.default" not in loaded.graph_module.code
    torch.testing.assert_close(loaded.module()(*inputs), module(*inputs), rtol=1e-5, atol=1e-6)


def calls(graph: _core.Graph) -> list[str]:
    """The lines of the graph's text without those of constants, as torch.export's .module() names them."""
    return [line.replace("%c_", "%") for line in str(graph).splitlines() if " = " in line and "constant" not in line]


class Classifier(torch.nn.Module):
    """Everything that quantizing rewrites: a batch norm, weights, a residual, attention, a list of outputs."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(8)
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x):
        x = functional.relu(self.norm(self.conv(x)))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.linear(tokens)
        return [functional.scaled_dot_product_attention(tokens, tokens, tokens), x.mean((2, 3)) + 1.0]


@pytest.fixture(scope="module")
def two_classifiers(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.fx.GraphModule, Path, torch.Tensor]:
    """The same model quantized by torchao and, from its archive, by the core; a sample."""
    torch.manual_seed(0)
    model, sample = Classifier().eval(), torch.randn(2, 3, 6, 6)
    folder = tmp_path_factory.mktemp("archives")
    torch.export.save(torch.export.export(model, (sample,)), folder / "float.pt2")
    quantizer = _core.EnnQuantizer()
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(folder / "float.pt2")), quantizer)
    prepared.run([sample.numpy()])
    _core.convert_pt2e(prepared).exported_program.save(str(folder / "quantized.pt2"))
    return common.quantize(model, [(sample,)], (sample,)), folder / "quantized.pt2", sample


def test_a_quantized_archive_is_torchaos_model(two_classifiers):
    torchaos, path, sample = two_classifiers
    loaded = torch.export.load(path).module()
    # Ranges come from two float engines, whose last bits differ: a value near a boundary may fall on its other side.
    for ours, theirs in zip(loaded(sample), torchaos(sample), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0.02)
    again = torch.export.export(loaded, (sample,))
    for ours, theirs in zip(again.module()(sample), loaded(sample), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert quantized_calls(again) == quantized_calls(torch.export.export(torchaos, (sample,)))
    assert not [name for name in again.state_dict if "conv.weight" in name or "running" in name]


def quantized_calls(program: ExportedProgram) -> set[str]:
    """Targets and literal arguments of quantize and dequantize calls, scales to six digits."""
    return {
        " ".join(
            [str(node.target), *(f"{item:.6g}" if isinstance(item, float) else str(item) for item in node.args[1:])]
        )
        for node in program.graph.nodes
        if str(node.target).startswith("quantized_decomposed") and "per_tensor" in str(node.target)
    }


def test_a_quantized_archive_is_lowered_by_the_python_door(two_classifiers):
    _, path, _ = two_classifiers
    lowered = to_edge_transform_and_lower(torch.export.load(path), partitioner=[EnnPartitioner()])
    targets = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    assert targets.count("executorch_call_delegate") == 1
    assert {target for target in targets if "getitem" not in target} == {"executorch_call_delegate"}


class Flexible(torch.nn.Module):
    """Sizes that follow from a symbolic one: as arguments, in shapes and computed."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        x = x.reshape(x.shape[0] * 2, -1)
        return torch.cat([x, x.new_zeros(2 * x.shape[0] + 1, x.shape[1])])


@pytest.mark.parametrize("size", [0, 5])
def test_a_dynamic_dimension_gets_a_size(size: int, tmp_path: Path):
    path = tmp_path / "model.pt2"
    shapes = ({0: torch.export.Dim("batch", min=2, max=16)},)
    torch.export.save(torch.export.export(Flexible(), (torch.randn(4, 3, 8, 8),), dynamic_shapes=shapes), path)
    program = _core.ExportedProgram.load(str(path), size)
    batch = size or 2
    assert program.inputs == [("x", ("float32", [batch, 3, 8, 8]))]
    assert program.outputs == [(program.outputs[0][0], ("float32", [6 * batch + 1, 72]))]
    with pytest.raises(EnnError, match=r"dynamic size 17 is outside the range \[2, 16\]"):
        _core.ExportedProgram.load(str(path), 17)


def test_damage_is_a_sentence(tmp_path: Path):
    path = tmp_path / "model.pt2"
    torch.export.save(quantized(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EnnError, match="the archive is damaged: it has no zip directory"):
        read(path)
    at = whole.index(b"torch.ops.aten")
    path.write_bytes(whole[:at] + b"T" + whole[at + 1 :])
    with pytest.raises(EnnError, match="does not have its checksum"):
        read(path)
    with pytest.raises(EnnError, match="cannot open"):
        read(tmp_path / "none.pt2")


ARCHIVES = Path(__file__).parents[1] / "data" / "archives"  # written by make_archives.py beside it
VERSIONS = ("2.9.1", "2.10.0", "2.11.0", "2.12.0", "2.14.1")
NAMES = ("residual", "decomposed", "attention", "nested", "flexible", "constants")


def recorded(version: str, name: str) -> tuple[Path, list[np.ndarray], list[np.ndarray]]:
    """An archive, its example inputs, and what the torch that wrote it computed."""
    with np.load(ARCHIVES / version / "results.npz") as results:
        inputs, outputs = (
            [results[f"{name}.{side}.{i}"] for i in range(sum(key.startswith(f"{name}.{side}.") for key in results))]
            for side in ("input", "output")
        )
    assert inputs
    assert outputs
    return ARCHIVES / version / f"{name}.pt2", inputs, outputs


def assert_as_recorded(actual: list, expected: list[np.ndarray]) -> None:
    # A relative error of an output is one of its largest terms: sums cancel.
    assert len(actual) == len(expected)
    for ours, theirs in zip(map(np.asarray, actual), expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NAMES)
def test_archives_of_earlier_versions(name: str, version: str, tmp_path: Path):
    path, inputs, expected = recorded(version, name)
    program = _core.ExportedProgram.load(str(path))
    assert [(type_, shape) for _, (type_, shape) in program.inputs] == [(str(x.dtype), list(x.shape)) for x in inputs]
    assert_as_recorded(_core.Model.compile(program.graph).run(inputs), expected)

    pte, _ = _core.lower_pt2(path.read_bytes())
    # The .pte also gives what the model returns beside tensors.
    outputs = common.Pte(pte).outputs(*map(torch.from_numpy, inputs))
    assert_as_recorded([output for output in outputs if isinstance(output, torch.Tensor)], expected)

    copy = tmp_path / "copy.pt2"
    program.save(str(copy))
    assert str(read(copy)) == str(program.graph)
    args, kwargs = torch.export.load(path).example_inputs
    outputs = torch.export.load(copy).module()(*args, **kwargs)
    tensors = [leaf for leaf in torch.utils._pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
    assert_as_recorded([tensor.detach().numpy() for tensor in tensors], expected)


def test_archives_of_all_versions_are_there():
    assert {folder.name for folder in ARCHIVES.iterdir()} == set(VERSIONS)
    assert {path.stem for path in ARCHIVES.rglob("*.pt2")} == set(NAMES)


class TwoNorms(torch.nn.Module):
    """A convolution called twice, with a batch norm of its own each time; another whose result is read twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.other = torch.nn.Conv2d(2, 2, 1), torch.nn.Conv2d(2, 2, 1)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(2) for _ in range(3))
        for i, norm in enumerate(self.norms):
            norm.running_mean.fill_(i)
            norm.running_var.fill_(2.0 + i)

    def forward(self, x):
        x = self.norms[0](self.conv(x)) + self.norms[1](self.conv(2 * x))
        y = self.other(x)
        return self.norms[2](y) + y / 2


def test_batch_norms_are_folded_where_that_changes_nothing(tmp_path: Path):
    model, sample, path = TwoNorms().eval(), torch.randn(1, 2, 4, 4), tmp_path / "model.pt2"
    torch.export.save(torch.export.export(model, (sample,)), path)
    prepared = _core.prepare_pt2e(_core.ExportedProgram.load(str(path)), _core.EnnQuantizer())
    (actual,) = prepared.run([sample.numpy()])
    torch.testing.assert_close(torch.from_numpy(actual), model(sample), rtol=1e-5, atol=1e-5)
    quantized = _core.convert_pt2e(prepared)
    (actual,) = quantized.run([sample.numpy()], "qdq")
    torch.testing.assert_close(torch.from_numpy(actual), model(sample), rtol=0, atol=0.1)
    assert str(quantized.exported_program.graph).count(" = batch_norm(") == 1


class WritesIntoAView(torch.nn.Module):
    def forward(self, x):
        y = x * 2
        y[:, :2].relu_()
        return y + 1


class WritesBehindAView(torch.nn.Module):
    def forward(self, x):
        y = x * 2
        z = y.flatten(1)
        y.relu_()
        return z + 1


class WritesWhereNobodyLooks(torch.nn.Module):
    def forward(self, x):
        y = (x * 2).flatten(1)
        y.relu_()
        copy = y.clone()
        copy.neg_()
        return y + copy.abs_()


class WritesIntoADiagonal(torch.nn.Module):
    def forward(self, x):
        y = x * 2
        y.diagonal(dim1=1, dim2=2).relu_()
        return y + 1


class WritesIntoAParameter(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(3), requires_grad=False)

    def forward(self, x):
        self.shift.add_(1)
        return x + self.shift


@pytest.mark.parametrize("model", [WritesIntoAView(), WritesBehindAView()])
def test_writes_in_place_are_seen_through_views(model, tmp_path: Path):
    sample, path = torch.randn(1, 4, 3), tmp_path / "model.pt2"
    torch.export.save(torch.export.export(model, (sample,)), path)
    (actual,) = _core.Model.compile(_core.ExportedProgram.load(str(path)).graph).run([sample.numpy()])
    assert np.array_equal(actual, model(sample).numpy())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (WritesIntoADiagonal(), r"node 'relu_' \(aten.relu_.default\) writes into '.*run_decompositions"),
        (WritesIntoAParameter(), r"'add_' \(aten.add_.Tensor\) writes into 'p_shift', a parameter.*register_buffer"),
    ],
)
def test_writes_in_place_that_would_be_lost_are_refused(model, message, tmp_path: Path):
    sample, path = torch.randn(1, 4, 3), tmp_path / "model.pt2"
    torch.export.save(torch.export.export(model, (sample,)), path)
    with pytest.raises(EnnError, match=message):
        _core.ExportedProgram.load(str(path))


def test_writes_in_place_that_nobody_else_sees_are_functions(tmp_path: Path):
    model, sample, path = WritesWhereNobodyLooks(), torch.randn(1, 4, 3), tmp_path / "model.pt2"
    torch.export.save(torch.export.export(model, (sample,)), path)
    (actual,) = _core.Model.compile(_core.ExportedProgram.load(str(path)).graph).run([sample.numpy()])
    assert np.array_equal(actual, model(sample).numpy())
