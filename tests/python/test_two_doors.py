"""A program lowered in Python and, as a .pt2 archive, in C++: the same bytes for the delegate, the same .pte."""

import math
import re
from pathlib import Path

import pytest
import torch
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.quantizer.quantizer import EnnQuantizer
from executorch.backends.samsung.serialization.compile_options import gen_samsung_backend_compile_spec
from executorch.exir import to_edge_transform_and_lower
from executorch.exir._serialize._program import deserialize_pte_binary
from executorch.exir.schema import Tensor
from executorch.exir.tensor import get_scalar_type
from test_programs import Signal
from torch import nn
from torch.export import ExportedProgram
from torch.nn import functional
from torchao.quantization.pt2e import move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

import common
import two_doors
from openenn import EnnError, _core, compile_options


class Bottleneck(nn.Module):
    """Depthwise convolution, squeeze and excitation, hard activations, a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = functional.hardswish(self.norm(self.stem(x)))
        y = functional.relu6(self.depthwise(x))
        scale = functional.adaptive_avg_pool2d(y, 1)
        y = y * functional.hardsigmoid(self.excite(functional.relu(self.squeeze(scale))))
        x = functional.interpolate(x + y, scale_factor=2.0, mode="bilinear")
        return self.head(self.dropout(x.mean((2, 3)).contiguous()))


class Encoder(nn.Module):
    """Tokens, attention, norms, a choice of the classes; split and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.feed = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, tokens):
        x = self.tokens(tokens) * 2.0
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        x = x + self.feed(x)
        left, right = x.chunk(2, -1)
        x = torch.cat([right, left], -1).transpose(1, 2)[:, :, 1:]
        return functional.softmax(1 - x / 3, 1)


class Shuffled(nn.Module):
    """Inputs read in another order, one of them not at all; outputs in another order, one twice, one an input.

    Numbers and None stand between the tensors.
    """

    def forward(self, a, rest, unread, flag, times):
        early = rest["b"] + a
        late = early.half() * times
        numbers = (None, 7, 2.5, True)
        return {"late": late, "rest": [early, numbers, late], "index": rest["i"] + 1, "flag": ~flag, "b": rest["b"]}


SHUFFLED = (
    torch.randn(2, 3),
    {"b": torch.randn(2, 3), "i": torch.arange(4)},
    torch.zeros(5),
    torch.tensor([True, False]),
    2,
)
TYPES = (torch.randn(3).half(), torch.tensor([1, 2, 3], dtype=torch.int8), torch.tensor(2.5), torch.arange(4).int())


class Types(nn.Module):
    """Element types, and a tensor of no dimensions."""

    def forward(self, half, byte, scalar, integer):
        return half.float() + scalar, byte.float().abs(), integer * 2, scalar.neg()


def quantized(model: nn.Module, inputs: tuple) -> ExportedProgram:
    return torch.export.export(common.quantize(model.eval(), [inputs], inputs), inputs)


def unfolded(model: nn.Module, inputs: tuple) -> ExportedProgram:
    """Its weights are float, and quantized whenever the model runs."""
    return torch.export.export(common.quantize(model.eval(), [inputs], inputs, fold_quantize=False), inputs)


def trained(model: nn.Module, inputs: tuple) -> ExportedProgram:
    """Of quantization-aware training."""
    quantizer = EnnQuantizer()
    quantizer.set_quant_params("A8W8", True, True)
    module = prepare_qat_pt2e(torch.export.export(model.train(), inputs).module(), quantizer)
    for _ in range(3):
        module(*inputs)
    move_exported_model_to_eval(module)
    return torch.export.export(convert_pt2e(module), inputs)


def assert_planned(pte: bytes) -> None:
    """Every tensor has its own bytes of the planned buffer."""
    (plan,) = deserialize_pte_binary(pte).program.execution_plan
    unused, size = plan.non_const_buffer_sizes
    assert unused == 0
    end = 0
    for tensor in (value.val for value in plan.values if isinstance(value.val, Tensor)):
        assert tensor.allocation_info.memory_id == 1
        assert tensor.allocation_info.memory_offset % 16 == 0
        assert tensor.allocation_info.memory_offset >= end
        element = torch.empty(0, dtype=get_scalar_type(tensor.scalar_type)).element_size()
        end = tensor.allocation_info.memory_offset + math.prod(tensor.sizes) * element
    assert end <= size


PROGRAMS = {
    "bottleneck": lambda: quantized(Bottleneck(), (torch.randn(1, 3, 16, 16),)),
    "unfolded": lambda: unfolded(Bottleneck(), (torch.randn(1, 3, 16, 16),)),
    "trained": lambda: trained(Bottleneck(), (torch.randn(4, 3, 16, 16),)),
    "signal": lambda: quantized(Signal(), (torch.randn(1, 2, 40),)),
    "encoder": lambda: quantized(Encoder(), (torch.randint(20, (1, 7)),)),
    "float": lambda: torch.export.export(Bottleneck().eval(), (torch.randn(2, 3, 8, 8),)),
    "shuffled": lambda: torch.export.export(Shuffled(), SHUFFLED),
    "types": lambda: torch.export.export(Types(), TYPES),
}


# torch 2.14 sorts the arguments of a delegate by the inputs of the model; torch 2.13 and the C++ door have them in the
# order in which they are read, which is another one in these programs.
SORTED_ARGUMENTS = torch.torch_version.TorchVersion(torch.__version__) >= (2, 14)
READS_OUT_OF_ORDER = ("shuffled", "types")


def assert_the_same_but_for_arguments(python_pte: bytes, cpp_pte: bytes) -> None:
    """The same steps and the same program around them, with the arguments of the delegate in two orders."""
    doors = [deserialize_pte_binary(pte) for pte in (python_pte, cpp_pte)]
    steps = []
    interfaces = []
    for door in doors:
        (payload,) = two_doors.payloads_of(door)
        # Steps that read an argument are named by its number.
        named = [
            (step.op, re.sub(r"input_\d+", "input", step.name), step.source) for step in _core.Program(payload).steps
        ]
        steps.append(sorted(named))
        name, inputs, outputs, trees, ((*arguments,),), *rest = two_doors.interface_of(door)
        count = sum(str(argument).startswith("input ") for argument in arguments)
        call = (sorted(arguments[:count]), arguments[count:])
        interfaces.append((name, inputs, outputs, trees, call, *rest))
    assert steps[0] == steps[1]
    assert interfaces[0] == interfaces[1]


TRAINED = pytest.param("trained", marks=pytest.mark.full)


@pytest.mark.parametrize("name", [TRAINED if name == "trained" else name for name in PROGRAMS])
def test_both_doors_give_the_same(name: str) -> None:
    program = PROGRAMS[name]()
    result = two_doors.compare(program)
    if SORTED_ARGUMENTS and name in READS_OUT_OF_ORDER:
        assert_the_same_but_for_arguments(result["python_pte"], result["cpp_pte"])
    else:
        assert result["same_payload"]
        assert result["same_interface"]
    assert_planned(result["cpp_pte"])
    inputs, kwargs = program.example_inputs
    flat = torch.utils._pytree.tree_leaves((inputs, kwargs))
    expected = common.Pte(result["python_pte"]).outputs(*flat)
    actual = common.Pte(result["cpp_pte"]).outputs(*flat)
    assert len(expected) == len(actual) > 0
    for one, other in zip(expected, actual, strict=True):
        if not isinstance(one, torch.Tensor):
            assert one == other
            continue
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["bottleneck", "unfolded", TRAINED, "encoder"])
def test_a_quantized_archive_runs_as_in_pytorch(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]()
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    (inputs, _) = program.example_inputs
    model = _core.Model.compile(_core.ExportedProgram.load(str(path)).graph, "qdq")
    (actual,) = model.run([value.numpy() for value in inputs])
    with torch.no_grad():
        expected = program.module()(*inputs)
    # A sum of floats in another order may fall on the other side of a boundary: one step of the result.
    result = next(node for node in reversed(program.graph.nodes) if "dequantize_per_tensor" in str(node.target))
    difference = (torch.from_numpy(actual) - expected).abs()
    assert difference.max() <= 1.01 * result.args[1]
    assert (difference > 1e-6).float().mean() <= 0.05


def test_compile_specifications_are_the_same() -> None:
    program = PROGRAMS["types"]()
    spec = gen_samsung_backend_compile_spec("e9965")
    edge = to_edge_transform_and_lower(program, partitioner=[EnnPartitioner([spec])])
    pte, _ = _core.lower_pt2(two_doors.archive_of(program), [(spec.key, bytes(spec.value))])
    specs = [
        deserialize_pte_binary(door).program.execution_plan[0].delegates[0].compile_specs
        for door in (edge.to_executorch().buffer, pte)
    ]
    assert specs[0] == specs[1]
    assert bytes(specs[0][0].value) == b'{"chipset":"E9965","perf_mode":0}'


MODEL = """
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.features(x)
        return self.head(x.mean((2, 3)))
"""


def from_folder(folder: Path, dynamic: bool) -> ExportedProgram:
    """The same model, as if its source lay in `folder`."""
    scope = {"__name__": "shop.net"}
    exec(compile(MODEL, str(folder / "shop" / "net.py"), "exec"), scope)
    torch.manual_seed(0)
    inputs = (torch.randn(2, 3, 8, 8),)
    shapes = ({0: torch.export.Dim("batch", min=1, max=8)},) if dynamic else None
    module = common.quantize(scope["Model"]().eval(), [inputs], inputs, dynamic_shapes=shapes)
    return torch.export.export(module, inputs, dynamic_shapes=shapes)


def test_a_pte_does_not_depend_on_the_folder_of_its_source(tmp_path) -> None:
    folders = [tmp_path / "one", tmp_path / "two" / "deeper"]
    programs = [from_folder(folder, dynamic=False) for folder in folders]
    results = [two_doors.compare(program) for program in programs]
    for door in ("python_pte", "cpp_pte"):
        one, two = (result[door] for result in results)
        assert one == two
        assert b"net.py" not in one
    dynamic = [
        to_edge_transform_and_lower(from_folder(folder, dynamic=True), partitioner=[EnnPartitioner()])
        .to_executorch()
        .buffer
        for folder in folders
    ]
    assert dynamic[0] == dynamic[1]
    assert b"net.py" not in dynamic[0]
    assert b"features.0" in dynamic[0]

    # Asked for, the lines are those of the module, in both doors.
    spec = compile_options.source_lines_compile_spec()
    edge = to_edge_transform_and_lower(programs[0], partitioner=[EnnPartitioner([spec])])
    (data,) = deserialize_pte_binary(edge.to_executorch().buffer).program.backend_delegate_data
    _, payload = _core.lower_pt2(results[0]["archive"], [(spec.key, bytes(spec.value))])
    assert bytes(data.data) == payload
    steps = _core.Program(payload).steps
    assert {("features.0", "shop/net.py:11"), ("head", "shop/net.py:12"), ("", "shop/net.py:12")} <= {
        (step.module_path, step.source) for step in steps
    }


class Between(nn.Module):
    """An operator that is left to others between two that are taken."""

    def forward(self, x):
        return torch.nn.functional.interpolate(x.relu(), (4, 4), mode="bilinear", antialias=True).exp(), x.numel()


def test_files_of_the_python_door_are_read() -> None:
    program = torch.export.export(Between(), (torch.rand(1, 4, 4, 4),))
    file = to_edge_transform_and_lower(program, partitioner=[EnnPartitioner()]).to_executorch().buffer
    ((name, inputs, outputs, delegates, operators),) = _core.read_pte(file)
    expected = deserialize_pte_binary(file).program
    assert (name, inputs, outputs) == ("forward", ["float32[1, 4, 4, 4]"], ["float32[1, 4, 4, 4]", ""])
    assert [payload for _, payload in delegates] == [bytes(data.data) for data in expected.backend_delegate_data]
    assert {name for name, _ in delegates} == {"EnnBackend"}
    assert operators == [f"{op.name}.{op.overload}" for op in expected.execution_plan[0].operators]
    assert operators


class Foreign(nn.Module):
    def forward(self, x):
        return torch.linalg.det(torch.linalg.inv(x.relu()))


def test_what_is_not_taken_is_named() -> None:
    archive = two_doors.archive_of(torch.export.export(Foreign(), (torch.eye(3),)))
    with pytest.raises(
        EnnError, match=r"node 'linalg_inv.*' \(aten.linalg_inv.*\) is not taken: .*; of \d+ nodes, 2 are"
    ):
        _core.lower_pt2(archive)
