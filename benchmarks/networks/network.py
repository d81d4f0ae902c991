"""What a network is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Network:
    """`build` takes the size of an image or a sequence, `inputs` also a generator; `small` is the size for tests.

    `classes` is the dimension of the result along which a class is chosen, where there is one; `statistics` is the
    largest size of the samples that a random network's batch norms get their statistics from.
    """

    build: Callable[[int], nn.Module]
    inputs: Callable[[int, torch.Generator], tuple[torch.Tensor, ...]]
    size: int = 224
    small: int = 64
    classes: int | None = 1
    statistics: int = 96
    weights: str = "random"

    def samples(self, size: int, count: int, seed: int) -> Iterator[tuple[torch.Tensor, ...]]:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(count):
            yield self.inputs(size, generator)


def image(size: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Noise with as much of it in large patches as in single pixels."""
    fine = torch.randn(1, 3, size, size, generator=generator)
    coarse = torch.randn(1, 3, 4, 4, generator=generator)
    return ((fine + nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")) * 0.7,)


def seeded(network: Network, size: int) -> nn.Module:
    """The network from seed 0, its batch norms with the statistics of some batches.

    Without them a random network's activations die out or grow without end.
    """
    torch.manual_seed(0)
    model = network.build(size).eval()
    if network.weights != "random":
        return model
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return model
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    size = min(size, network.statistics)
    with torch.no_grad():
        for samples in _pairs(list(network.samples(size, 8, seed=2))):
            model(*samples)
    return model.eval()


def _pairs(samples: list[tuple[torch.Tensor, ...]]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Batches of four: one element per channel has no variance."""
    for i in range(0, len(samples), 4):
        yield tuple(torch.cat(tensors) for tensors in zip(*samples[i : i + 4], strict=True))
