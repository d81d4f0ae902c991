"""From FX graphs to the core's graph: the calls as they stand, named by their schemas. No operator is known here."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.observer import ObserverBase

from openenn import _core, noncore

_OPERATORS = frozenset(target for target, _, _ in _core.operators())


@dataclass
class ImportedGraph:
    """A graph of the core and the FX nodes that its values and nodes stand for."""

    graph: _core.Graph = field(default_factory=_core.Graph)
    values: dict[int, Node] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)


def import_module(module: GraphModule, interpret: bool = True) -> ImportedGraph:
    """The graph of a module in training IR, as torch.export.export(…).module() gives it.

    Uninterpreted, each call becomes one node with one value, whatever the core knows of it.
    """

    def constant(node: Node) -> torch.Tensor | None:
        if node.op != "get_attr":
            return None
        owner: Any = module
        for name in str(node.target).split("."):
            owner = getattr(owner, name)
        return owner if isinstance(owner, torch.Tensor) else None

    importer = _Importer(constant) if interpret else _CallImporter(constant)
    return importer.run(module.graph)


def import_program(program: ExportedProgram) -> ImportedGraph:
    """The graph of an exported program, whose parameters, buffers and constants are placeholders."""
    signature = program.graph_signature
    mutated = set(signature.buffers_to_mutate.values())

    def constant(node: Node) -> torch.Tensor | None:
        if node.op == "get_attr":
            value = getattr(program.graph_module, str(node.target), None)
            return value if isinstance(value, torch.Tensor) else None
        if node.name in signature.inputs_to_parameters:
            return program.state_dict[signature.inputs_to_parameters[node.name]]
        if node.name in signature.inputs_to_buffers:
            name = signature.inputs_to_buffers[node.name]
            if name in mutated:
                return None
            return program.state_dict[name] if name in program.state_dict else program.constants[name]
        if node.name in signature.inputs_to_lifted_tensor_constants:
            return program.constants[signature.inputs_to_lifted_tensor_constants[node.name]]
        return None

    return _Importer(constant).run(program.graph)


def overload(target: Any) -> Any:
    """The ATen overload behind its edge counterpart or its other name; anything else as it is."""
    op = target._op if isinstance(target, EdgeOpOverload) else target
    return noncore.original(op) if isinstance(op, torch._ops.OpOverload) else op


def source_line(node: Node) -> str:
    """file:line of the eager model."""
    return _core.source_line(node.meta.get("stack_trace") or "")


def import_call(node: Node) -> tuple[ImportedGraph, list[tuple[str, Any]], tuple[str, list[int]]]:
    """A call that gives one tensor: a graph whose inputs are what it reads, its arguments, its result's type."""
    return _Importer(lambda _: None).run_call(node)


def observer_of(module: GraphModule, node: Node) -> torch.nn.Module | None:
    """The observer that a node of a prepared module calls; None for any other node."""
    called = module.get_submodule(str(node.target)) if node.op == "call_module" else None
    return called if isinstance(called, ObserverBase) else None


class _Importer:
    def __init__(self, constant: Callable[[Node], torch.Tensor | None]) -> None:
        self._constant = constant
        self._result = ImportedGraph()
        # The value of each FX node; a list for nodes with several results, with None where one is no tensor.
        self._ids: dict[Node, int | list[int | None]] = {}
        # The values that a node which gives no tensor (a size) is computed from.
        self._sources: dict[Node, list[int]] = {}

    def run(self, graph: torch.fx.Graph) -> ImportedGraph:
        for node in graph.nodes:
            if node.op in ("placeholder", "get_attr"):
                self._add_leaf(node)
            elif node.op == "call_function":
                self._add_call(node)
            elif graph.owning_module is not None and observer_of(graph.owning_module, node) is not None:
                self._ids[node] = self._ids[node.args[0]]
            elif node.op == "output":
                outputs = [self._ids.get(item) for item in _nodes_in(node.args)]
                self._result.graph.set_outputs([item for item in outputs if isinstance(item, int)])
        return self._result

    def run_call(self, node: Node) -> tuple[ImportedGraph, list[tuple[str, Any]], tuple[str, list[int]]]:
        for operand in node.all_input_nodes:
            if isinstance(operand.meta["val"], torch.Tensor):
                operand_type = _tensor_type(operand.meta["val"])
                self._define(operand, self._result.graph.add_input(operand.name, operand_type))
        return self._result, self._arguments(node), _tensor_type(node.meta["val"])

    def _define(self, node: Node, value: int) -> None:
        self._ids[node] = value
        self._result.values[value] = node

    def _add_leaf(self, node: Node) -> None:
        constant = self._constant(node)
        if constant is not None:
            self._define(node, self._add_constant(node, constant.detach()))
        elif node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor):
            self._define(node, self._result.graph.add_input(node.name, _tensor_type(node.meta["val"])))

    def _add_constant(self, node: Node, tensor: torch.Tensor) -> int:
        tensor_type = _tensor_type(tensor)
        # Partitioners see programs whose constants are types without values.
        if isinstance(tensor, FakeTensor):
            return self._result.graph.add_unknown_constant(node.name, tensor_type)
        elements = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
        return self._result.graph.add_constant(node.name, tensor_type, elements)

    def _add_call(self, node: Node) -> None:
        if node.target is operator.getitem:
            results = self._ids.get(node.args[0])
            if isinstance(results, list) and results[node.args[1]] is not None:
                self._define(node, results[node.args[1]])
            return
        if "val" not in node.meta:
            schema = getattr(overload(node.target), "_schema", None)
            if schema is not None and not schema.returns:
                return  # an assertion: archives record no result of it
            raise _core.EnnError(
                f"node '{node.name}' ({node.target}) has no recorded result type; export the model again"
            )
        result = node.meta["val"]
        several = isinstance(result, (tuple, list))
        tensors = [item for item in (result if several else (result,)) if isinstance(item, torch.Tensor)]
        if not tensors:
            self._sources[node] = self._operands(node)
            return
        target = str(overload(node.target))
        arguments = self._arguments(node) if target in _OPERATORS else self._tensors(node)
        types = [_tensor_type(tensor) for tensor in tensors]
        core_node, values = self._result.graph.add_call(target, node.name, arguments, types, source_line(node))
        self._result.nodes[core_node] = node
        if not several:
            self._define(node, values[0])
            return
        remaining = iter(values)
        self._ids[node] = [next(remaining) if isinstance(item, torch.Tensor) else None for item in result]
        for value in values:
            self._result.values[value] = node

    def _operands(self, node: Node) -> list[int]:
        """The values that a node is computed from, itself or by way of sizes."""
        operands: list[int] = []
        for item in node.all_input_nodes:
            value = self._ids.get(item)
            operands += [value] if isinstance(value, int) else self._sources.get(item, [])
        return list(dict.fromkeys(operands))

    def _tensors(self, node: Node) -> list[tuple[str, Any]]:
        """Only the tensors, for an operator that the core does not know: they keep the graph connected."""
        return [(str(i), _core.Tensor(value)) for i, value in enumerate(self._operands(node))]

    def _arguments(self, node: Node) -> list[tuple[str, Any]]:
        schema = overload(node.target)._schema
        names = [argument.name for argument in schema.arguments]
        named = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        return [(name, self._argument(value)) for name, value in named.items()]

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Node):
            number = self._ids.get(value)
            if isinstance(number, int):
                return _core.Tensor(number)
            return _core.Symbol(value.name, self._sources.get(value, []))
        if isinstance(value, (list, tuple)):
            items = [self._argument(item) for item in value]
            symbols = [item for item in items if isinstance(item, _core.Symbol)]
            if not symbols:
                return items
            return _core.Symbol(symbols[0].name, [source for item in symbols for source in item.sources])
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, complex):
            return [value.real, value.imag]
        return str(value).removeprefix("torch.")


class _CallImporter(_Importer):
    """Calls as they stand; one that gives no tensor or several stands for no float value."""

    def _add_call(self, node: Node) -> None:
        result = node.meta.get("val")
        tensor_type = _tensor_type(result) if isinstance(result, torch.Tensor) else ("bool", [])
        target = str(overload(node.target)) if node.target is not operator.getitem else "getitem"
        core_node, values = self._result.graph.add_call(
            target, node.name, self._arguments(node), [tensor_type], source_line(node), interpret=False
        )
        self._result.nodes[core_node] = node
        self._define(node, values[0])

    def _arguments(self, node: Node) -> list[tuple[str, Any]]:
        schema = getattr(overload(node.target), "_schema", None)
        names = [argument.name for argument in schema.arguments] if schema else []
        names += [str(i) for i in range(len(names), len(node.args))]
        named = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        return [(name, self._argument(value)) for name, value in named.items()]

    def _argument(self, value: Any) -> Any:
        known = not isinstance(value, Node) or value in self._ids
        return super()._argument(value) if known else None


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _nodes_in(item)
    elif isinstance(value, dict):
        yield from _nodes_in(list(value.values()))


def _tensor_type(tensor: torch.Tensor) -> tuple[str, list[int]]:
    shape = [size if isinstance(size, int) else _core.DYNAMIC_SIZE for size in tensor.shape]
    return str(tensor.dtype).removeprefix("torch."), shape
