"""Every network of benchmarks/networks at a small size: one delegate call, nothing outside, Q/DQ results.

Of equal blocks that follow each other three are kept (as many stand side by side in DeepLab): most of the time is
ExecuTorch's, once per node. benchmarks/all_models.py has the whole networks, test_models.py four of them.
"""

import dataclasses

import pytest
import torch
from torch import nn

import all_models
import common
from networks import NETWORKS
from report import sqnr


def shortened(model: nn.Module) -> nn.Module:
    for blocks in list(model.modules()):
        if not isinstance(blocks, (nn.Sequential, nn.ModuleList)):
            continue
        kinds = []
        for name, block in list(blocks.named_children()):
            shapes = {key: tensor.shape for key, tensor in block.state_dict().items()}
            if shapes and kinds[-3:] == [(type(block), shapes)] * 3:
                delattr(blocks, name)
            else:
                kinds.append((type(block), shapes))
    return model


WHOLE = {"mobilenet_v2", "resnet18", "resnet50", "efficientnet_lite0"}  # in test_models.py


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in WHOLE])
def test_network(name: str) -> None:
    whole = NETWORKS[name]
    network = dataclasses.replace(whole, build=lambda size: shortened(whole.build(size)))
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
