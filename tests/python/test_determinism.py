"""Every ISA that this CPU has, and one or two threads, give the same bytes."""

import numpy as np
import pytest
import torch
from conftest import lowered_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from openenn import _core, fx

NAMES = ["MobileNetV2", "ResNet18", "ResNet50", "EfficientNet-Lite0"]
ISAS = _core.supported_isas()


def compiled(quantized: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> bytes:
    program = torch.export.export(quantized, inputs)
    payload, _ = _core.compile(fx.import_program(program).graph)
    return payload


def check_same_everywhere(payload: bytes, arrays: list[np.ndarray]) -> None:
    expected = None
    for isa in ISAS:
        for threads in (1, 2):
            program = _core.Program(payload, isa=isa, threads=threads)
            assert program.isa == isa
            actual = [output.tobytes() for output in program.execute(arrays)]
            expected = expected or actual
            assert actual == expected, f"{isa}, {threads} threads"


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_models(name: str) -> None:
    lowered = lowered_model(name, 64, 1, False, True, True)
    payload = compiled(lowered.quantized, lowered.inputs)
    check_same_everywhere(payload, [tensor.numpy() for tensor in lowered.inputs])


@pytest.mark.skipif("avx512vnni" not in ISAS, reason="this CPU has no AVX-512 VNNI")
def test_avx512_vnni_is_among_them() -> None:
    assert "avx512vnni" in ISAS


def test_kernels_change_with_the_isa(small_network) -> None:
    payload = compiled(small_network.quantized, small_network.inputs)
    kernels = {isa: [step.kernel for step in _core.Program(payload, isa=isa).steps] for isa in ISAS}
    assert all("avx" not in kernel and "neon" not in kernel for kernel in kernels["reference"])
    if "avx2" in ISAS:
        assert any("avx2" in kernel for kernel in kernels["avx2"])


def test_environment_variable_names_the_isa(small_network, monkeypatch) -> None:
    payload = compiled(small_network.quantized, small_network.inputs)
    monkeypatch.setenv("ENN_ISA", "reference")
    assert _core.Program(payload).isa == "reference"
    monkeypatch.setenv("ENN_ISA", "avx1024")
    with pytest.raises(_core.EnnError, match="avx1024"):
        _core.Program(payload)


class Layers(nn.Module):
    """A drawn list of layers; "residual" adds the input of the layer before when the shapes agree."""

    def __init__(self, layers: list[nn.Module], residual: list[bool]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, residual in zip(self.layers, self.residual, strict=True):
            y = layer(x)
            x = x + y if residual and y.shape == x.shape else y
        return x


@st.composite
def networks(draw) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(draw(st.integers(0, 2**16)))
    channels = draw(st.sampled_from([1, 3, 8, 17, 32]))
    size = draw(st.integers(7, 21))
    batch = draw(st.integers(1, 3))
    inputs = (torch.randn(batch, channels, size, draw(st.integers(7, 21))),)
    layers: list[nn.Module] = []
    residual = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["conv", "conv", "depthwise", "relu", "hardswish", "sigmoid", "max", "avg"]))
        kernel = draw(st.sampled_from([1, 3, 5]))
        stride = draw(st.sampled_from([1, 1, 2]))
        if kind == "conv":
            out = draw(st.sampled_from([1, 4, channels, 19, 33]))
            layers.append(nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=draw(st.booleans())))
            channels = out
        elif kind == "depthwise":
            layers.append(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels))
        elif kind in ("max", "avg"):
            layers.append({"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[kind](3, stride, 1))
        else:
            layers.append({"relu": nn.ReLU, "hardswish": nn.Hardswish, "sigmoid": nn.Sigmoid}[kind]())
        residual.append(draw(st.booleans()))
    return Layers(layers, residual).eval(), inputs


@pytest.mark.full
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(networks(), st.booleans())
def test_random_networks(network: tuple[nn.Module, tuple[torch.Tensor, ...]], per_channel: bool) -> None:
    from common import quantize

    model, inputs = network
    quantized = quantize(model, [inputs], inputs, is_per_channel=per_channel)
    check_same_everywhere(compiled(quantized, inputs), [tensor.numpy() for tensor in inputs])
