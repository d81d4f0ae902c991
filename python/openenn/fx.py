"""From FX graphs to the core's graph: the calls as they stand, named by their schemas. No operator is known here.

Sizes that only a run knows (SymInt) become those of the example that the model was exported with, where they follow
from the sizes of the inputs; import_symbolic keeps them as expressions.
"""

import functools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload
from executorch.exir.tensor import dim_order_from_stride
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.observer import ObserverBase

from openenn import _core, noncore

OPERATORS = frozenset(target for target, _, _ in _core.operators())
COMPOSITES = frozenset(_core.COMPOSITES)
KNOWN = OPERATORS | COMPOSITES


@dataclass
class ImportedGraph:
    """A graph of the core and the FX nodes that its values and nodes stand for."""

    graph: _core.Graph = field(default_factory=_core.Graph)
    values: dict[int, Node] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    inputs: list[Node] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)


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


def import_converted(module: GraphModule) -> ImportedGraph:
    """The graph of what torchao's convert_pt2e gives, which leaves the types of the nodes that it adds unrecorded."""
    added = [
        node
        for node in module.graph.nodes
        if "val" not in node.meta and str(node.target).startswith("quantized_decomposed.")
    ]
    for node in added:
        operand = node.args[0]
        tensor = operand.meta.get("val")
        if tensor is None:
            tensor = functools.reduce(getattr, str(operand.target).split("."), module)
        dtype = node.args[-1] if ".quantize" in str(node.target) else node.kwargs.get("out_dtype") or torch.float32
        node.meta["val"] = torch.empty(tensor.shape, dtype=dtype, device="meta")
    try:
        return import_module(module)
    finally:
        for node in added:
            del node.meta["val"]


def import_program(program: ExportedProgram) -> ImportedGraph:
    """The graph of an exported program, whose parameters, buffers and constants are placeholders."""
    return _Importer(_constants_of(program)).run(program.graph)


def is_symbolic(program: ExportedProgram) -> bool:
    """Whether it has sizes that only a run knows."""
    for node in program.graph.nodes:
        value = node.meta.get("val")
        values = value if isinstance(value, (tuple, list)) else (value,)
        for item in values:
            sizes = item.shape if isinstance(item, torch.Tensor) else (item,)
            if any(isinstance(size, torch.SymInt) for size in sizes):
                return True
    return False


def import_symbolic(program: ExportedProgram) -> tuple[_core.SymbolicGraph, list[list[int]]]:
    """As import_program, with sizes as expressions; and the sizes of the inputs in the example."""
    importer = _SymbolicImporter(_constants_of(program))
    inputs, outputs = dim_orders(importer.run(program.graph))
    if any(inputs + outputs):
        importer.symbolic.set_orders(inputs, outputs)
    return importer.symbolic, importer.example


def dim_orders(imported: ImportedGraph) -> tuple[list[list[int]], list[list[int]]]:
    """Of each input and output: its dimensions in memory, as ExecuTorch's dim_order; empty for a contiguous one."""

    def order(node: Node) -> list[int]:
        tensor = node.meta["val"]
        if not isinstance(tensor, torch.Tensor) or tensor.is_contiguous():
            return []
        return dim_order_from_stride(tensor.stride())

    return [order(node) for node in imported.inputs], [order(node) for node in imported.outputs]


def _constants_of(program: ExportedProgram) -> Callable[[Node], torch.Tensor | None]:
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

    return constant


def overload(target: Any) -> Any:
    """The ATen overload behind its edge counterpart or its other name; anything else as it is."""
    op = target._op if isinstance(target, EdgeOpOverload) else target
    return noncore.original(op) if isinstance(op, torch._ops.OpOverload) else op


def origin(node: Node) -> _core.Origin:
    """Where in the eager model it comes from: its line and the modules that were called."""
    stack = (node.meta.get("nn_module_stack") or {}).values()
    modules = [
        (path, kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}") for path, kind in stack
    ]
    return _core.Origin(node.meta.get("stack_trace") or "", modules)


def import_call(node: Node) -> tuple[ImportedGraph, list[tuple[str, Any]], list[tuple[str, list[int]]]]:
    """A call that gives tensors: a graph whose inputs are what it reads, its arguments, its results' types."""
    return _StaticImporter(lambda _: None).run_call(node)


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
        # The values that a node which gives no tensor (a size) is computed from, and the one that stands for it.
        self._sources: dict[Node, list[int]] = {}
        self._sizes: dict[Node, int] = {}
        # Sizes that something else than a tensor's node reads.
        self._kept: list[int] = []

    def run(self, graph: torch.fx.Graph) -> ImportedGraph:
        for node in graph.nodes:
            if node.op in ("placeholder", "get_attr"):
                self._add_leaf(node)
            elif node.op == "call_function":
                self._add_call(node)
            elif graph.owning_module is not None and observer_of(graph.owning_module, node) is not None:
                self._ids[node] = self._ids[node.args[0]]
            elif node.op == "output":
                outputs = [self._ids.get(item, self._sizes.get(item)) for item in _nodes_in(node.args)]
                self._result.outputs = [
                    item for item, value in zip(_nodes_in(node.args), outputs, strict=True) if isinstance(value, int)
                ]
                self._set_outputs([item for item in outputs if isinstance(item, int)] + self._kept)
        return self._result

    def _set_outputs(self, outputs: list[int]) -> None:
        self._result.graph.set_outputs(outputs)

    def _define(self, node: Node, value: int) -> None:
        self._ids[node] = value
        self._result.values[value] = node

    def _add_leaf(self, node: Node) -> None:
        constant = self._constant(node)
        if constant is not None:
            self._define(node, self._add_constant(node, constant.detach()))
        elif node.op == "placeholder" and isinstance(node.meta.get("val"), torch.Tensor):
            self._define(node, self._add_input(node))
            self._result.inputs.append(node)

    def _add_input(self, node: Node) -> int:
        return self._result.graph.add_input(node.name, self._tensor_type(node.meta["val"]))

    def _add_constant(self, node: Node, tensor: torch.Tensor) -> int:
        tensor_type = self._tensor_type(tensor)
        # Partitioners see programs whose constants are types without values.
        if isinstance(tensor, FakeTensor):
            return self._result.graph.add_unknown_constant(node.name, tensor_type)
        return self._result.graph.add_constant(node.name, tensor_type, _elements(tensor))

    def _add_call(self, node: Node) -> None:
        if node.target is operator.getitem:
            results = self._ids.get(node.args[0])
            if isinstance(results, list) and results[node.args[1]] is not None:
                self._define(node, results[node.args[1]])
            return
        returns = getattr(getattr(overload(node.target), "_schema", None), "returns", None)
        if "val" not in node.meta and (returns is None or returns):
            raise _core.EnnError(
                f"node '{node.name}' ({node.target}) has no recorded result type; export the model again"
            )
        if node.meta.get("val") is None:  # an assertion
            self._kept += [self._sizes[item] for item in node.all_input_nodes if item in self._sizes]
            return
        result = node.meta["val"]
        several = isinstance(result, (tuple, list))
        tensors = [item for item in (result if several else (result,)) if isinstance(item, torch.Tensor)]
        if not tensors:
            self._add_size(node)
            return
        target = str(overload(node.target))
        arguments = self._arguments(node) if target in KNOWN else self._tensors(node)
        values = self._append(node, target, arguments, [self._tensor_type(tensor) for tensor in tensors])
        if not several:
            self._define(node, values[0])
            return
        remaining = iter(values)
        self._ids[node] = [next(remaining) if isinstance(item, torch.Tensor) else None for item in result]
        for value in values:
            self._result.values[value] = node

    def _append(self, node: Node, target: str, arguments: list[tuple[str, Any]], types: list[Any]) -> list[int]:
        after = [self._sizes[item] for item in node.all_input_nodes if item in self._sizes]
        core_node, values = self._result.graph.add_call(target, node.name, arguments, types, origin(node), after=after)
        self._result.nodes[core_node] = node
        return values

    def _add_size(self, node: Node) -> None:
        """A node without tensors: what it is computed from, tensors and other sizes."""
        self._sources[node] = self._operands(node)
        sources = [self._ids.get(item, self._sizes.get(item)) for item in node.all_input_nodes]
        core_node, value = self._result.graph.add_size(node.name, [item for item in sources if isinstance(item, int)])
        self._result.nodes[core_node] = node
        self._sizes[node] = value

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
            size = self._size(value.meta.get("val"))
            return _core.Symbol(value.name, self._sources.get(value, [])) if size is None else size
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

    def _tensor_type(self, tensor: torch.Tensor) -> tuple[str, list[Any]]:
        sizes = [self._size(size) for size in tensor.shape]
        return _dtype_name(tensor), [_core.DYNAMIC_SIZE if size is None else size for size in sizes]

    def _size(self, value: Any) -> Any:
        """An integer as this import writes it; None for one that does not follow from the sizes of the inputs."""
        if isinstance(value, torch.SymInt):
            return _example(value) if _expression(value) is not None else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class _StaticImporter(_Importer):
    """One call, without what only a run knows."""

    def run_call(self, node: Node) -> tuple[ImportedGraph, list[tuple[str, Any]], list[tuple[str, list[int]]]]:
        for operand in node.all_input_nodes:
            if isinstance(operand.meta["val"], torch.Tensor):
                self._define(operand, self._add_input(operand))
        result = node.meta["val"]
        results = result if isinstance(result, (tuple, list)) else [result]
        return self._result, self._arguments(node), [self._tensor_type(tensor) for tensor in results]

    def _size(self, value: Any) -> Any:
        return None if isinstance(value, torch.SymInt) else super()._size(value)


class _SymbolicImporter(_Importer):
    """Into a graph with expressions. Only nodes that the core takes may be in it."""

    def __init__(self, constant: Callable[[Node], torch.Tensor | None]) -> None:
        super().__init__(constant)
        self.symbolic = _core.SymbolicGraph()
        self.example: list[list[int]] = []

    def _set_outputs(self, outputs: list[int]) -> None:
        self.symbolic.set_outputs(outputs)

    def _add_leaf(self, node: Node) -> None:
        value = node.meta.get("val")
        if node.op == "placeholder" and isinstance(value, (int, torch.SymInt)):
            self.symbolic.add_integer_input(node.name, self._size(value))
            self.example.append([_example(value)])
        super()._add_leaf(node)

    def _add_input(self, node: Node) -> int:
        tensor = node.meta["val"]
        self.example.append([_example(size) for size in tensor.shape])
        return self.symbolic.add_input(node.name, self._tensor_type(tensor))

    def _add_constant(self, node: Node, tensor: torch.Tensor) -> int:
        return self.symbolic.add_constant(node.name, self._tensor_type(tensor), _elements(tensor))

    def _append(self, node: Node, target: str, arguments: list[tuple[str, Any]], types: list[Any]) -> list[int]:
        return self.symbolic.add_call(target, node.name, arguments, types, origin(node))

    def _add_size(self, node: Node) -> None:
        pass  # who reads it has its expression

    def _size(self, value: Any) -> Any:
        if not isinstance(value, torch.SymInt):
            return super()._size(value)
        text = _expression(value)
        return None if text is None else _core.Expression(text)


class _CallImporter(_Importer):
    """Calls as they stand; one that gives no tensor or several stands for no float value."""

    def _add_call(self, node: Node) -> None:
        result = node.meta.get("val")
        tensor_type = self._tensor_type(result) if isinstance(result, torch.Tensor) else ("bool", [])
        target = str(overload(node.target)) if node.target is not operator.getitem else "getitem"
        core_node, values = self._result.graph.add_call(
            target, node.name, self._arguments(node), [tensor_type], origin(node), interpret=False
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


def _elements(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _expression(value: torch.SymInt) -> str | None:
    """A size over the symbols of the inputs, as the core reads it; None for one that depends on values."""
    return _text(value.node.expr) if value.node.has_hint() else None


@functools.lru_cache(maxsize=4096)  # many tensors have the same sizes
def _text(expression: sympy.Expr) -> str | None:
    text = sympy.srepr(expression)
    return text if _core.is_expression(text) else None


def _example(value: int | torch.SymInt) -> int:
    return value if isinstance(value, int) else int(value.node.hint)
