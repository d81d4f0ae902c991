"""Operators that move elements: every form against eager PyTorch, in float, in 8 bits and on integers."""

from collections.abc import Callable

import pytest
import torch
from conftest import lower
from together import Case, check_together, parts
from torch.nn import functional

import common
from operator_cases import Call
from operators import calls_of

Function = Callable[..., torch.Tensor]


def lowered_float(function: Function, inputs: tuple[torch.Tensor, ...]) -> tuple[int, int, bytes]:
    edge = common.lower(Call(function), inputs)
    return *calls_of(edge), edge.to_executorch().buffer


INDEX = torch.tensor([[2, -1, 0], [1, 1, -5]])
POSITIVE = torch.tensor([[2, 5, 0], [1, 1, 3]])
TOP = POSITIVE.clamp(max=3)
COLUMNS = torch.tensor([0, 3, -2])

# One tensor in, one out: shape of the operand and the function.
MOVES: dict[str, tuple[tuple[int, ...], Function]] = {
    "stack": ((2, 3, 5), lambda x: torch.stack([x, x.flip(0), x], 1)),
    "stack behind": ((2, 3), lambda x: torch.stack([x, x * 2.0], -1)),
    "stack of scalars": ((), lambda x: torch.stack([x, x + 1.0])),
    "repeat": ((2, 3, 1), lambda x: x.repeat(2, 1, 3, 4)),
    "tile": ((2, 3, 4), lambda x: x.tile(2, 3)),
    "repeat_interleave": ((2, 3, 4), lambda x: x.repeat_interleave(3, 1)),
    "repeat_interleave of all": ((2, 3), lambda x: x.repeat_interleave(2)),
    "roll": ((1, 4, 6, 8), lambda x: x.roll((2, -3), (2, 3))),
    "roll of all": ((2, 3, 4), lambda x: x.roll(5)),
    "flip": ((2, 3, 4), lambda x: x.flip(0, -1)),
    "expand_as": ((3, 1), lambda x: x.expand_as(torch.empty(2, 3, 4))),
    "broadcast_to": ((3, 1), lambda x: x.broadcast_to(2, 3, 4)),
    "narrow": ((2, 8), lambda x: x.narrow(1, 2, 5)),
    "narrow from the end": ((2, 8), lambda x: x.narrow(-1, -4, 3)),
    "movedim": ((2, 3, 4, 5), lambda x: x.movedim((0, -1), (2, 0))),
    "swapaxes": ((2, 3, 4), lambda x: x.swapaxes(0, -1)),
    "mT": ((2, 3, 4), lambda x: x.mT),
    "unflatten": ((2, 12), lambda x: x.unflatten(1, (3, 4))),
    "rot90": ((2, 3, 4), lambda x: torch.rot90(x, 1, (1, 2))),
    "rot90 three times": ((2, 3, 4), lambda x: torch.rot90(x, -1, (0, 2))),
    "rot90 twice": ((2, 3, 4), lambda x: torch.rot90(x, 2, (1, 2))),
    "unfold": ((2, 9, 3), lambda x: x.unfold(1, 4, 2)),
    "diagonal": ((4, 3, 5), lambda x: x.diagonal(1, 0, 2)),
    "diagonal below": ((4, 5), lambda x: x.diagonal(-2)),
    "as_strided": ((4, 5), lambda x: x.as_strided((3, 2), (5, 2), 1)),
    "view_as": ((4, 6), lambda x: x.view_as(torch.empty(3, 8))),
    "chunk": ((2, 7), lambda x: torch.cat(x.chunk(3, 1)[::-1], 1)),
    "tensor_split": ((2, 7), lambda x: torch.cat(x.tensor_split((2, 3), 1)[::-1], 1)),
    "unbind": ((3, 4), lambda x: x.unbind(0)[1] + x.unbind(0)[2]),
    "split": ((6, 4), lambda x: torch.cat(x.split([1, 3, 2])[::-1])),
    "squeeze": ((2, 1, 3, 1), lambda x: x.squeeze().unsqueeze(-1)),
    "squeeze of a dimension": ((2, 1, 3, 1), lambda x: x.squeeze(1)),
    "rank 7": ((2, 1, 2, 3, 2, 1, 2), lambda x: x.permute(6, 5, 0, 3, 2, 1, 4)),
    "select of a vector": ((5,), lambda x: x[-2] * 1.0),
    "cat with an empty one": ((2, 3), lambda x: torch.cat([x, torch.empty(0, dtype=x.dtype), x[:, :0], x], 1)),
    "cat of many": ((2, 3), lambda x: torch.cat([x] * 20, 0)),
    "pad reflect 1d": ((2, 3, 6), lambda x: functional.pad(x, (2, 5), "reflect")),
    "pad reflect 2d": ((1, 3, 6, 5), lambda x: functional.pad(x, (1, 2, 3, 4), "reflect")),
    "pad replicate 2d": ((1, 3, 6, 5), lambda x: functional.pad(x, (7, 2, 0, 9), "replicate")),
    "pad circular 2d": ((1, 3, 6, 5), lambda x: functional.pad(x, (1, 5, 6, 0), "circular")),
    "pad with a value": ((2, 3, 4), lambda x: functional.pad(x, (1, 0, 0, 2), value=-1.5)),
    "pad of a negative size": ((2, 6, 5), lambda x: functional.pad(x, (-1, 2, 1, -3))),
    "crop": ((2, 6, 5), lambda x: functional.pad(x, (-1, -2, -1, -1))),
    "index": ((6, 4), lambda x: x[INDEX]),
    "index behind": ((2, 6, 4), lambda x: x[:, INDEX]),
    "index twice": ((6, 7, 4), lambda x: x[INDEX[:, :1], COLUMNS]),
    "index apart": ((6, 2, 7, 3), lambda x: x[INDEX, :, COLUMNS]),
    "index_select": ((2, 6, 4), lambda x: x.index_select(1, torch.tensor([5, 0, 5]))),
    "gather": ((4, 6), lambda x: x.gather(1, POSITIVE)),
    "index_put": ((6, 4), lambda x: torch.index_put(x, (INDEX,), x[:1] * 2.0)),
    "index_put of two": ((6, 7), lambda x: torch.index_put(x, (INDEX, COLUMNS), x[0, :1])),
    "index_add": ((6, 4), lambda x: x.index_add(0, torch.tensor([1, 1, 5]), x[2:5])),
    "index_copy": ((6, 4), lambda x: x.index_copy(0, torch.tensor([1, 0, 5]), x[2:5])),
    "index_fill": ((6, 4), lambda x: x.index_fill(1, torch.tensor([3, 0]), 0.0)),
    "select_scatter": ((6, 4), lambda x: x.select_scatter(x[:, 0], 1, -1)),
    "slice_scatter": ((6, 4), lambda x: x.slice_scatter(x[:2], 0, 1, 5, 2)),
    "scatter": ((4, 6), lambda x: x.scatter(1, POSITIVE, x.flip(0))),
    "scatter of a value": ((4, 6), lambda x: x.scatter(1, POSITIVE, 0.0)),
    "scatter of another value": ((4, 6), lambda x: x.scatter(1, POSITIVE, 2.5)),
    "scatter_add": ((4, 6), lambda x: x.scatter_add(0, TOP, x.flip(1))),
    "setitem": ((4, 6), lambda x: _with_corner(x)),
}


def _with_corner(x: torch.Tensor) -> torch.Tensor:
    y = x * 2.0
    y[1:3, :2] = x[:2, 4:]
    return y + 1.0


def equal(expected: torch.Tensor, actual: torch.Tensor, step: float) -> None:
    assert torch.equal(actual, expected)


def bounded(function: Function) -> Function:
    return lambda x: function(functional.hardtanh(x))


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(MOVES))
def test_moves_of_floats(names: list[str]) -> None:
    cases = [Case(name, Call(MOVES[name][1]), (torch.randn(MOVES[name][0]),)) for name in names]
    check_together(cases, equal)


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(MOVES))
def test_moves_in_8_bits(names: list[str]) -> None:
    cases = [Case(name, Call(bounded(MOVES[name][1])), (torch.randn(MOVES[name][0]),)) for name in names]
    # The same 8-bit values, through the same dequantize.
    check_together(cases, equal, quantized=True)


ARITHMETIC = {"stack behind", "stack of scalars", "unbind", "select of a vector", "index_put", "setitem"}
MOVES_OF_INTEGERS = sorted(set(MOVES) - ARITHMETIC - {"pad with a value", "scatter of another value"})
# Sums of truth values are not taken; eager PyTorch does not pad them by their neighbours.
NOT_OF_TRUTH = {"index_add", "scatter_add", *(name for name in MOVES if name.startswith("pad re"))}


def check_integers(names: list[str], dtype: torch.dtype, limit: int) -> None:
    inputs = {name: (torch.randint(0, limit, MOVES[name][0]).to(dtype),) for name in names}
    check_together([Case(name, Call(MOVES[name][1]), inputs[name]) for name in names], equal)


@pytest.mark.forms
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
@pytest.mark.parametrize("names", parts(MOVES_OF_INTEGERS))
def test_moves_of_integers(names: list[str], dtype: torch.dtype) -> None:
    check_integers(names, dtype, 1000)


@pytest.mark.forms
@pytest.mark.parametrize("names", parts(name for name in MOVES_OF_INTEGERS if name not in NOT_OF_TRUTH))
def test_moves_of_truth_values(names: list[str]) -> None:
    check_integers(names, torch.bool, 2)


@pytest.mark.forms
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_embedding(dtype: torch.dtype, quantized: bool, shape: tuple[int, ...]) -> None:
    model = torch.nn.Embedding(11, 8, padding_idx=0).eval()
    tokens = torch.randint(0, 11, shape).to(dtype)
    if quantized:
        lowered = lower(model, (tokens,))
        calls, program, eager = (lowered.delegate_calls, len(lowered.outside)), lowered.buffer, lowered.quantized
    else:
        *counts, program = lowered_float(model, (tokens,))
        calls, eager = tuple(counts), model
    assert calls == (1, 0)
    with torch.no_grad():
        assert torch.equal(common.Pte(program)(tokens), eager(tokens))


def test_indices_are_computed_or_given_when_running() -> None:
    def function(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        return x[rows, columns].index_select(0, columns[:2])

    x, rows, columns = torch.randn(5, 6, 3), torch.tensor([[4], [-5], [0]]), torch.tensor([1, 2, 0])
    delegates, outside, program = lowered_float(function, (x, rows, columns))
    assert (delegates, outside) == (1, 0)
    assert torch.equal(common.Pte(program)(x, rows, columns), function(x, rows, columns))


@pytest.mark.parametrize("index", [7, -8, 2**40])
def test_an_index_out_of_range_ends_the_run(index: int, capfd: pytest.CaptureFixture[str]) -> None:
    x = torch.randn(7, 3)
    *_, program = lowered_float(lambda x, i: x[i] * 2, (x, torch.tensor([0, 1])))
    pte = common.Pte(program)
    with pytest.raises(RuntimeError):
        pte(x, torch.tensor([0, index]))
    assert f"index {index} is out of range for a dimension of size 7" in capfd.readouterr().err
    assert torch.equal(pte(x, torch.tensor([-7, 6])), x[[0, 6]] * 2)


def test_a_mask_that_is_an_index_is_refused_with_a_reason() -> None:
    from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner

    x, mask = torch.randn(4, 3), torch.tensor([True, False, True, False])
    partitioner = EnnPartitioner()
    common.lower(Call(lambda x, m: torch.index_put(x, (m,), x[:1])), (x, mask), partitioner)
    assert "a boolean mask selects places by its values" in partitioner.reasons.values()
