"""What is refused, and that the refusal names the thing."""

import logging
import random

import numpy as np
import pytest
import torch
from conftest import lower
from executorch.backends.samsung.partition.enn_partitioner import EnnPartitioner
from executorch.backends.samsung.serialization.compile_options import gen_samsung_backend_compile_spec
from torch import nn

import common
from openenn import _core, fx
from operators import calls_of


@pytest.mark.parametrize("name", ["E9955", "e9965"])
def test_chipsets_in_any_case(name: str) -> None:
    spec = gen_samsung_backend_compile_spec(name)
    assert spec.key == "enn_compile_options"
    EnnPartitioner([spec])


@pytest.mark.parametrize("name", ["E1234", "", None])
def test_wrong_chipset(name) -> None:
    with pytest.raises(ValueError, match="E9955"):
        gen_samsung_backend_compile_spec(name)


def test_foreign_compile_specification() -> None:
    from executorch.exir.backend.backend_details import CompileSpec

    with pytest.raises(ValueError, match="enn_compile_options"):
        EnnPartitioner([CompileSpec("enn_compile_options", b"\xff\x00")])


def smoothed(x: torch.Tensor) -> torch.Tensor:
    """An operator that is not in the table."""
    return nn.functional.interpolate(x, x.shape[2:], mode="bilinear", antialias=True)


class Unsupported(nn.Module):
    """Two operators that are left to others, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(smoothed(smoothed(self.before(x))))


def test_unsupported_operator_leaves_the_rest_delegated(caplog) -> None:
    inputs = (torch.randn(1, 3, 8, 8),)
    with caplog.at_level(logging.WARNING, logger="openenn"):
        lowered = lower(Unsupported().eval(), inputs)
    assert lowered.delegate_calls == 2
    assert all("upsample" in call for call in lowered.outside)
    assert all("upsample" in name and "upsample" in reason for name, reason in lowered.reasons.items())
    assert len(lowered.reasons) == 2
    (warning,) = [text for text in caplog.messages if "left to other backends" in text]
    assert "1 more" in warning
    # The guard runs the model in the engine, which does not have all of it, and says so.
    (warning,) = [text for text in caplog.messages if "the guard could not look" in text]
    assert "upsample" in warning
    with torch.no_grad():
        expected = lowered.quantized(*inputs)
    actual = common.Pte(lowered.buffer)(*inputs)
    assert ((actual - expected) / common.output_scale(lowered.quantized)).round().abs().max() <= 1


def test_missing_kernels_are_told_when_lowering(caplog) -> None:
    model, x = nn.Sequential(nn.AvgPool3d(2), nn.ReLU(), nn.AvgPool3d(1)).eval(), torch.randn(1, 2, 4, 4, 4)
    with caplog.at_level(logging.WARNING, logger="openenn"):
        program = common.lower(model, (x,)).to_executorch()
    (warning,) = [text for text in caplog.messages if "kernel" in text]
    assert "no kernel 'aten::avg_pool3d.out'" in warning
    assert "nodes 'aten_avg_pool3d_default', 'aten_avg_pool3d_default_1' need" in warning
    with pytest.raises(RuntimeError, match="Failed to load method"):
        common.Pte(program.buffer)


@pytest.mark.parametrize("layer", [nn.Conv3d(2, 3, 2), nn.ConvTranspose3d(2, 3, 2)])
def test_convolutions_that_no_kernel_takes_are_told_when_lowering(layer: nn.Module, caplog) -> None:
    x = torch.randn(1, 2, 4, 4, 4)
    with caplog.at_level(logging.WARNING, logger="openenn"):
        program = common.lower(nn.Sequential(layer, nn.ReLU(), nn.Conv3d(3, 3, 1)).eval(), (x,)).to_executorch()
    (warning,) = [text for text in caplog.messages if "kernel" in text]
    assert "kernel 'aten::convolution.out' takes only 1-d and 2-d convolutions" in warning
    assert "nodes 'aten_convolution_default', 'aten_convolution_default_1' need more" in warning
    with pytest.raises(RuntimeError, match=r"execute\(\) failed"):
        common.Pte(program.buffer)(x)


def test_embedding_bag_without_a_kernel_is_told_when_lowering(caplog) -> None:
    x = torch.tensor([[1, 2, 4], [5, 0, 3]])
    with caplog.at_level(logging.WARNING, logger="openenn"):
        program = common.lower(nn.EmbeddingBag(6, 4).eval(), (x,)).to_executorch()
    (warning,) = [text for text in caplog.messages if "kernel" in text]
    assert "no kernel 'aten::_embedding_bag.out'" in warning
    with pytest.raises(RuntimeError, match="Failed to load method"):
        common.Pte(program.buffer)


class Loop(nn.Module):
    """A linear layer three times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def body(i: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return i + 1, self.layer(value).relu()

        return torch.while_loop(lambda i, _: i < 3, body, (torch.tensor(0), self.layer(x)))[1]


def test_the_body_of_a_loop_is_left_to_others() -> None:
    """As an edge program: ExecuTorch 1.5 emits no while_loop."""
    inputs = (torch.randn(2, 4),)
    program = common.lower(common.quantize(Loop().eval(), [inputs], inputs), inputs).exported_program()
    outside = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert [target for target in outside if "getitem" not in target] == ["executorch_call_delegate", "while_loop"]


class SharedWeight(nn.Module):
    """One convolution before and behind an operator that is left to others."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(smoothed(self.convolution(x)))


def test_weight_that_two_partitions_share() -> None:
    inputs = (torch.randn(1, 3, 8, 8),)
    lowered = lower(SharedWeight().eval(), inputs)
    assert lowered.delegate_calls == 2
    assert ["upsample" in call for call in lowered.outside] == [True]
    with torch.no_grad():
        expected = lowered.quantized(*inputs)
    actual = common.Pte(lowered.buffer)(*inputs)
    assert ((actual - expected) / common.output_scale(lowered.quantized)).round().abs().max() <= 1


class SharedConstants(nn.Module):
    """One computed mask before and behind an operator that is left to others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.full((8, 8), 2.0).tril() + 1
        return smoothed(x * mask) * mask


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "a8w8"])
def test_computed_constant_that_two_partitions_share(quantized: bool) -> None:
    model, x = SharedConstants(), torch.randn(1, 3, 8, 8)
    program = common.quantize(model, [(x,)], (x,)) if quantized else model
    lowered = common.lower(program, (x,))
    assert calls_of(lowered)[0] == 2
    step = common.output_scale(program) if quantized else 1e-5
    torch.testing.assert_close(common.Pte(lowered.to_executorch().buffer)(x), program(x), rtol=0, atol=1.01 * step)


@pytest.mark.parametrize("scale", [2, 1.5])
def test_volumes_are_enlarged(scale: float) -> None:
    """Outside: upsample_trilinear3d, whose decomposition shares constants between partitions."""

    class Enlarges(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.interpolate(x, scale_factor=scale, mode="trilinear")

    x = torch.randn(1, 2, 3, 4, 4)
    lowered = common.lower(Enlarges(), (x,))
    torch.testing.assert_close(common.Pte(lowered.to_executorch().buffer)(x), Enlarges()(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        (torch.zeros(1, 3, 32, 31),),
        (torch.zeros(2, 3, 32, 32),),
        (torch.zeros(3, 32, 32),),
        (torch.zeros(1, 3, 32, 32, dtype=torch.float64),),
        (torch.zeros(1, 3, 32, 32, dtype=torch.int8),),
        (),
        (torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)),
    ],
    ids=["width", "batch", "rank", "float64", "int8", "none", "two"],
)
def test_wrong_inputs_at_run_time(small_network, inputs) -> None:
    pte = common.Pte(small_network.buffer)
    with pytest.raises(Exception):  # noqa: B017 - ExecuTorch raises RuntimeError or ValueError
        pte(*inputs)
    with torch.no_grad():
        expected = small_network.quantized(*small_network.inputs)
    actual = pte(*small_network.inputs)  # the method is as good as before
    assert ((actual - expected) / common.output_scale(small_network.quantized)).round().abs().max() <= 1


def test_inputs_with_strides_are_read_in_the_order_of_their_shape(small_network) -> None:
    pte = common.Pte(small_network.buffer)
    (image,) = small_network.inputs
    strided = torch.stack([image, -image], -1)[..., 0]
    assert not strided.is_contiguous()
    assert torch.equal(pte(strided), pte(image))


def test_wrong_inputs_of_the_core_program(small_network) -> None:
    payload = payload_of(small_network)
    program = _core.Program(payload)
    with pytest.raises(ValueError, match=r"input 0 must be float32\[1, 3, 32, 32\]"):
        program.execute([np.zeros((1, 3, 32, 31), np.float32)])
    with pytest.raises(ValueError, match="takes 1 inputs, not 2"):
        program.execute([np.zeros((1, 3, 32, 32), np.float32)] * 2)
    with pytest.raises(ValueError, match="threads"):
        _core.Program(payload, threads=0)


def payload_of(lowered) -> bytes:
    payload, _ = _core.compile(fx.import_program(torch.export.export(lowered.quantized, lowered.inputs)).graph)
    return payload


def test_truncated_payloads(small_network) -> None:
    payload = payload_of(small_network)
    lengths = [0, 1, 63, 64, 65, len(payload) // 2, len(payload) - 1]
    for length in lengths:
        with pytest.raises(_core.EnnError):
            _core.Program(payload[:length])


def test_flipped_bits_of_payloads(small_network) -> None:
    payload = payload_of(small_network)
    generator = random.Random(0)
    positions = list(range(64 * 8)) + [generator.randrange(len(payload) * 8) for _ in range(2000)]
    for position in positions:
        damaged = bytearray(payload)
        damaged[position // 8] ^= 1 << (position % 8)
        with pytest.raises(_core.EnnError):
            _core.Program(bytes(damaged))


def test_damaged_payload_inside_a_pte(small_network) -> None:
    start = small_network.buffer.find(b"ENN1")
    assert start >= 0
    for offset in (0, 5, 17, 70, 1000):
        damaged = bytearray(small_network.buffer)
        damaged[start + offset] ^= 1
        with pytest.raises(RuntimeError):
            common.Pte(bytes(damaged))


def test_saved_pte_loads_again(small_network, tmp_path) -> None:
    path = tmp_path / "small.pte"
    path.write_bytes(small_network.buffer)
    expected = common.Pte(small_network.buffer)(*small_network.inputs)
    assert torch.equal(common.Pte(path)(*small_network.inputs), expected)
