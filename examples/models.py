"""The networks that the benchmarks and the tests run: name, where the weights come from, how to build them."""

from collections.abc import Callable

import torch
from torch import nn

from common import make_torchvision_importable


def _torchvision(name: str) -> nn.Module:
    make_torchvision_importable()
    import torchvision.models

    return getattr(torchvision.models, name)(weights=None).eval()


def _efficientnet_lite0() -> nn.Module:
    from efficientnet_lite import pretrained

    return pretrained()


# Name, weights, builder. Random weights: torchvision's initialization.
MODELS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "MobileNetV2": ("random", lambda: _torchvision("mobilenet_v2")),
    "ResNet18": ("random", lambda: _torchvision("resnet18")),
    "ResNet50": ("random", lambda: _torchvision("resnet50")),
    "EfficientNet-Lite0": ("ImageNet", _efficientnet_lite0),
}


def build(name: str) -> nn.Module:
    """The model, from seed 0; random ones with batch-norm statistics of some batches of noise."""
    torch.manual_seed(0)
    weights, builder = MODELS[name]
    model = builder()
    return warm_batch_norm(model) if weights == "random" else model


def warm_batch_norm(model: nn.Module, batches: int = 4, size: int = 96) -> nn.Module:
    """Statistics of noise, averaged over all batches: without them a random network's activations die out."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for _ in range(batches):
            model(torch.randn(8, 3, size, size))
    return model.eval()
