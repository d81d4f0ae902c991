"""Every network of benchmarks/networks at a small size: one delegate call, nothing outside, Q/DQ results."""

import pytest
import torch

import all_models
import common
from networks import NETWORKS
from report import sqnr


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name: str) -> None:
    network = NETWORKS[name]
    stages = all_models.lower(network, network.small, calibration=2)
    assert stages["reasons"] == {}
    assert (stages["delegate_calls"], stages["outside"]) == (1, 0)
    tests = list(network.samples(network.small, 4, seed=1))
    exact = all_models.outputs(stages["model"], tests)
    expected = all_models.outputs(stages["quantized"], tests)
    actual = all_models.outputs(common.Pte(stages["buffer"]), tests)
    assert torch.isfinite(actual).all()
    # As in test_models.py: rounding differences grow with depth, quantization itself costs more.
    assert sqnr(expected, actual) > sqnr(exact, expected)
