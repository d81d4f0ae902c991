"""The guard in torchao's flow: the core decides what stays in float, this takes the observers of it out."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import FixedQParamsObserver
from torchao.quantization.pt2e.observer import ObserverBase

from openenn import _core, fx
from openenn.correction import BiasCorrector, WeightRounder
from openenn.observers import check_observed

if TYPE_CHECKING:
    from openenn.quantizer import EnnQuantizer

_logger = logging.getLogger("openenn")

_NAME = "enn_guard"

# The warnings since said_once() began; None outside of it.
_said: ContextVar[set[str] | None] = ContextVar("said", default=None)


@contextmanager
def said_once() -> Iterator[None]:
    """Of models that are converted within it, each warning is said once."""
    token = _said.set(set())
    try:
        yield
    finally:
        _said.reset(token)


class Guard(ObserverBase):
    """Keeps some of the samples that the model is calibrated on, and knows the quantizer that it was prepared with."""

    # torch.fx keeps the call, whose result nobody reads.
    _is_impure = True

    def __init__(self, quantizer: "EnnQuantizer") -> None:
        super().__init__(dtype=torch.float32)
        self.samples = _core.KeptSamples()
        self.quantizer = _Shared(quantizer)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """The first of `inputs`, as it is."""
        self.samples.add([tensor.detach().cpu().contiguous() for tensor in inputs])
        return inputs[0]

    def calculate_qparams(self) -> Any:
        """Nothing is quantized here."""
        raise NotImplementedError


class _Shared:
    """What copies of a module share."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Shared":
        return self


def insert_guard(model: GraphModule, quantizer: "EnnQuantizer") -> None:
    """Puts the guard after the inputs of a model that is about to get its observers."""
    inputs = [
        node
        for node in model.graph.nodes
        if node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor)
    ]
    if not inputs:
        return
    model.add_submodule(_NAME, Guard(quantizer))
    last = [node for node in model.graph.nodes if node.op == "placeholder"][-1]
    with model.graph.inserting_after(last):
        node = model.graph.call_module(_NAME, tuple(inputs))
    node.meta = dict(inputs[0].meta)
    node.meta.pop("quantization_annotation", None)


def guard_of(model: GraphModule) -> Guard | None:
    """The guard of a prepared model; None where it is off."""
    guard = getattr(model, _NAME, None)
    return guard if isinstance(guard, Guard) else None


def guarded_conversion(convert: Callable[..., GraphModule]) -> Callable[..., GraphModule]:
    """For the first step of convert_pt2e: observers that saw nothing would give a scale of 1."""

    def guarded(graph_module: GraphModule, *args: Any, **kwargs: Any) -> GraphModule:
        check_observed(graph_module)
        guard = guard_of(graph_module)
        if guard is not None:
            _remove(graph_module)
            _run(graph_module, guard)
        return convert(graph_module, *args, **kwargs)

    return guarded


def _remove(model: GraphModule) -> None:
    for node in list(model.graph.nodes):
        if node.op == "call_module" and node.target == _NAME:
            model.graph.erase_node(node)
    delattr(model, _NAME)
    model.recompile()


def _run(model: GraphModule, guard: Guard) -> None:
    quantizer = guard.quantizer.item
    warnings = list(guard.samples.warnings)
    least_sqnr = quantizer.guard
    if least_sqnr is not None:
        imported = fx.import_module(model)
        sites = _Sites(model, imported)
        threads = _core.usable_threads(torch.get_num_threads())
        guarded = _core.guard(imported.graph, sites.groups, sites.sites, guard.samples, least_sqnr, threads)
        warnings += guarded.warnings
        if guarded.changes:
            sites.keep(guarded.sites)
            quantizer._note_guarded(guarded, imported.graph)
    said = _said.get()
    for warning in warnings:
        if said is None or warning not in said:
            _logger.warning("%s", warning)
        if said is not None:
            said.add(warning)


class _Sites:
    """The observers of a prepared model as the core sees them."""

    def __init__(self, model: GraphModule, imported: fx.ImportedGraph) -> None:
        self._model = model
        self._numbers = {node: number for number, node in imported.nodes.items()}
        self._nodes = [node for node in model.graph.nodes if self._observer(node) is not None]
        values = {node: value for value, node in imported.values.items()}
        places = {node: place for place, node in enumerate(self._nodes)}
        groups: dict[int, int] = {}
        self.groups: list[tuple[Any, ...]] = []
        self.sites: list[tuple[Any, ...]] = []
        for node in self._nodes:
            observer = self._observer(node)
            if id(observer) not in groups:
                groups[id(observer)] = len(groups)
                self.groups.append(_group(observer))
            operand = node.args[0]
            value = self._value(node)
            parent = places.get(operand)  # type: ignore[arg-type]
            annotation = value.meta.get("quantization_annotation")
            of_result = parent is None and annotation is not None and annotation.output_qspec is not None
            self.sites.append((values[value], groups[id(observer)], parent, self._readers(node, value), of_result))

    def keep(self, remaining: list[tuple[int, list[int], bool]]) -> None:
        """Takes out what does not remain, and the corrections of layers whose weight is in float."""
        kept = {number: (set(readers), of_result) for number, readers, of_result in remaining}
        serves_all = {self._nodes[number] for number, (_, of_result) in kept.items() if of_result}
        for number, node in enumerate(self._nodes):
            readers, of_result = kept.get(number, (set(), False))
            operand = node.args[0]
            assert isinstance(operand, Node)
            if operand in self._nodes and operand not in serves_all:
                operand = self._value(node)
                node.replace_input_with(node.args[0], operand)  # type: ignore[arg-type]
            for user in list(node.users):
                if of_result or self._numbers.get(user) in readers or self._observer(user) is not None:
                    continue
                user.replace_input_with(node, operand)
        for node in reversed(self._nodes):
            if not node.users:
                self._model.graph.erase_node(node)
        for node in list(self._model.graph.nodes):
            self._drop_correction(node)
        self._model.recompile()

    def _drop_correction(self, node: Node) -> None:
        module = fx.observer_of(self._model, node)
        if not isinstance(module, (BiasCorrector, WeightRounder)):
            return
        if isinstance(module, BiasCorrector):
            (layer,) = node.users
        else:
            (layer,) = (item for item in self._model.graph.nodes if item.name == module.layer)
        weight = layer.args[1]
        assert isinstance(weight, Node)
        if self._observer(weight) is not None:
            return
        node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
        self._model.graph.erase_node(node)

    def _observer(self, node: Node) -> ObserverBase | None:
        module = fx.observer_of(self._model, node)
        return None if isinstance(module, (BiasCorrector, WeightRounder)) else module

    def _value(self, node: Node) -> Node:
        while self._observer(node) is not None:
            node = node.args[0]  # type: ignore[assignment]
        return node

    def _readers(self, node: Node, value: Node) -> list[int]:
        readers = []
        for user in node.users:
            annotation = user.meta.get("quantization_annotation")
            if user in self._numbers and annotation is not None and value in annotation.input_qspec_map:
                readers.append(self._numbers[user])
        return readers


def _group(observer: Any) -> tuple[Any, ...]:
    scales, zero_points = observer.calculate_qparams()
    # It is asked again when the model is converted.
    observer.calculate_qparams = lambda: (scales, zero_points)
    axis = getattr(observer, "ch_axis", -1) if scales.numel() > 1 else -1
    return (
        str(observer.dtype).removeprefix("torch."),
        observer.quant_min,
        observer.quant_max,
        axis,
        isinstance(observer, FixedQParamsObserver),
        scales.reshape(-1).tolist(),
        zero_points.reshape(-1).tolist(),
    )
