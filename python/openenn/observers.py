"""Observers: torchao's classes and the core's names for them."""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FakeQuantizeBase,
    FusedMovingAvgObsFakeQuantize,
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    ObserverBase,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

from openenn import _core

# Where an observer keeps the names of the values that it sees.
_VALUES = "enn_values"


class CoreState:
    """For modules: puts what the core saw into the state_dict, as the bytes of a text."""

    def _core_state(self) -> Any:
        """What has save() and load()."""
        raise NotImplementedError

    def get_extra_state(self) -> torch.Tensor:
        """Called by state_dict()."""
        return state_tensor(self._core_state().save())

    def set_extra_state(self, state: Any) -> None:
        """Called by load_state_dict(); the observer sees on from this state."""
        try:
            self._core_state().load(state_text(state))
        except _core.EnnError as error:
            raise _core.InvalidArgumentError(f"statistics of {names_of(self)}: {error}") from error


def state_tensor(text: str) -> torch.Tensor:
    """A text in a state_dict, which every format of tensors can store."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def state_text(state: Any) -> str:
    """The text of state_tensor()."""
    if not isinstance(state, torch.Tensor) or state.dtype != torch.uint8:
        raise _core.InvalidArgumentError("the state is not a tensor of bytes")
    return bytes(state.cpu().tolist()).decode(errors="replace")


class CoreObserver(CoreState, UniformQuantizationObserverBase):
    """An observer of the core among torchao's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._core = _core.make_observer(spec_of(self))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` as they are."""
        self._core.observe(values.detach().float().contiguous())
        return values

    @property
    def observed(self) -> _core.Observed:
        """What was seen."""
        return self._core.observed

    def _core_state(self) -> _core.Observer:
        return self._core

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


def name_values(observers: dict[Any, Any]) -> None:
    """Notes on each observer which values it sees; `observers` are torchao's, of edges and nodes.

    A value without elements is left out: nothing can be seen of it.
    """
    for edge_or_node, observer in observers.items():
        node = edge_or_node[0] if isinstance(edge_or_node, tuple) else edge_or_node
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and value.numel() == 0:
            continue
        if _VALUES not in observer.__dict__ and isinstance(observer, HistogramObserver):
            observer.register_forward_pre_hook(_check_values)  # it ends in an error that names nothing
        note_value(observer, node.name)


def calls_observer(model: GraphModule, node: Node) -> bool:
    """Whether a node calls an observer, or what quantizes for training."""
    called = model.get_submodule(str(node.target)) if node.op == "call_module" else None
    return isinstance(called, (ObserverBase, FakeQuantizeBase))


def note_value(observer: torch.nn.Module, name: str) -> None:
    """Notes one of the values that an observer sees."""
    names = observer.__dict__.setdefault(_VALUES, [])
    if name not in names:
        names.append(name)


def names_of(observer: Any) -> str:
    """The values that an observer sees, for messages."""
    return ", ".join(f"'{name}'" for name in observer.__dict__.get(_VALUES, ())) or "an observer"


def _check_values(observer: torch.nn.Module, values: tuple[torch.Tensor, ...]) -> None:
    if values[0].numel() > 0:
        low, high = (bound.item() for bound in torch.aminmax(values[0].detach()))
        _core.check_observed([(observer.__dict__[_VALUES][0], _core.observed_between([low], [high]))])


def check_observed(model: GraphModule, observed: Callable[[Any], "_core.Observed"] | None = None) -> None:
    """Raises unless every observer that name_values() knows saw something, and nothing but finite values.

    `observed` says what an observer saw, where it is not the observer itself that knows.
    """
    found: dict[str, _core.Observed] = {}
    for node in model.graph.nodes:
        observer = model.get_submodule(node.target) if node.op == "call_module" else None
        for name in observer.__dict__.get(_VALUES, ()) if observer is not None else ():
            found.setdefault(name, (observed or observed_by)(observer))
    _core.check_observed(list(found.items()))


def observed_by(observer: Any) -> "_core.Observed":
    """What an observer saw: one of the core's, or of torchao's."""
    if "calculate_qparams" in observer.__dict__:
        return _core.Observed.FINITE  # openenn.pt2e has set what the core found
    if isinstance(observer, CoreObserver):
        return observer.observed
    inner = observer.activation_post_process if isinstance(observer, FakeQuantizeBase) else observer
    if not hasattr(inner, "min_val"):
        return _core.Observed.FINITE  # its scale is given
    return _core.observed_between(*(values.detach().reshape(-1).tolist() for values in (inner.min_val, inner.max_val)))
