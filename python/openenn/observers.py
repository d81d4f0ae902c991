"""Observers: torchao's classes and the core's names for them."""

from typing import Any

import torch
from torchao.quantization.pt2e import (
    FusedMovingAvgObsFakeQuantize,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

from openenn import _core


class CoreObserver(UniformQuantizationObserverBase):
    """An observer of the core among torchao's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._core = _core.make_observer(spec_of(self))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` as they are."""
        self._core.observe(values.detach().float().contiguous())
        return values

    @property
    def empty(self) -> bool:
        """Whether nothing was seen yet."""
        return self._core.empty

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point."""
        scales, zero_points = self._core.qparams()
        return torch.tensor(scales), torch.tensor(zero_points)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_core": self._core.save()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._core = _core.make_observer(spec_of(self))
        self._core.load(state["_core"])


class PercentileObserver(CoreObserver):
    """The range between two percentiles."""


class MseObserver(CoreObserver):
    """The range of the least squared error."""


class KlObserver(CoreObserver):
    """The range of the least divergence."""


# What torchao calls the core's observers; eps is passed to each.
OBSERVERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "MinMax": (MinMaxObserver, {}),
    "MovingAverageMinMax": (MovingAverageMinMaxObserver, {}),
    "MovingAveragePerChannelMinMax": (MovingAveragePerChannelMinMaxObserver, {}),
    "Histogram": (HistogramObserver, {}),
    "Percentile": (PercentileObserver, {}),
    "Mse": (MseObserver, {}),
    "Kl": (KlObserver, {}),
    "PerChannelMinMax": (PerChannelMinMaxObserver, {}),
    "FusedMovingAvgFakeQuantize": (FusedMovingAvgObsFakeQuantize, {"observer": MovingAverageMinMaxObserver}),
    "FusedMovingAvgPerChannelFakeQuantize": (
        FusedMovingAvgObsFakeQuantize,
        {"observer": MovingAveragePerChannelMinMaxObserver},
    ),
}


def observer_name(kind: type) -> str:
    """The core's name of a class of observers."""
    for name, (observer, _) in OBSERVERS.items():
        if observer is kind:
            return name
    raise _core.EnnError(f"the observer {kind.__name__} is not one that the core has: prepare with torchao")


def spec_of(observer: Any) -> "_core.QuantizationSpec":
    """What the core is told of an observer."""
    return _core.QuantizationSpec(
        dtype=str(observer.dtype).removeprefix("torch."),
        quant_min=observer.quant_min,
        quant_max=observer.quant_max,
        qscheme=str(observer.qscheme).removeprefix("torch."),
        observer=observer_name(type(observer)),
        ch_axis=getattr(observer, "ch_axis", -1),
        eps=float(observer.eps),
    )
