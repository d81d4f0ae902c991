"""EnnPartitioner: tags the nodes of an edge program that the core takes."""

import copy
import functools
import logging
import operator
from collections import defaultdict
from collections.abc import Callable, Sequence

import executorch.kernels.quantized  # noqa: F401  # out variants of the quantizations that are left outside
import torch
from executorch.exir.backend.backend_details import CompileSpec
from executorch.exir.backend.partitioner import DelegationSpec, Partitioner, PartitionResult
from executorch.exir.backend.utils import tag_constant_data
from executorch.exir.delegate import executorch_call_delegate
from torch._decomp import core_aten_decompositions
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram, default_decompositions
from torch.fx import Graph, Node

from openenn import _core, compile_options, fx, kernels, noncore
from openenn.backend import EnnBackend
from openenn.report import Report

_logger = logging.getLogger("openenn")


class EnnPartitioner(Partitioner):
    """Delegates to the Exynos (ENN) backend what it takes; `reasons` says why the other nodes were left out."""

    def __init__(self, compile_specs: Sequence[CompileSpec] | None = None) -> None:
        super().__init__()
        self.compile_specs = list(compile_specs or [])
        compile_options.check(self.compile_specs)  # a wrong chipset is refused here, where the user wrote it
        self.delegation_spec = DelegationSpec(EnnBackend.__name__, self.compile_specs)
        self.reasons: dict[str, str] = {}
        self._report: Report | None = None

    def partition(self, edge_program: ExportedProgram) -> PartitionResult:
        """Tags the nodes of each partition, and the constants that only they read."""
        imported = fx.import_program(edge_program)
        decisions = _core.partition(imported.graph)
        self._report = Report("Partitions", _core.explain_partition(imported.graph))
        self.reasons = {}
        tags: dict[str, DelegationSpec] = {}
        for number, node in imported.nodes.items():
            partition, reason = decisions[number]
            if partition < 0:
                if reason:
                    self.reasons[node.name] = reason
                continue
            tag = f"enn_{partition}"
            tags[tag] = self.delegation_spec
            node.meta["delegation_tag"] = tag
            for user in node.users:
                if user.target is operator.getitem:
                    user.meta["delegation_tag"] = tag
        tag_constant_data(edge_program)
        # ExecuTorch takes delegated constants out of this table, which the program that the user exported shares.
        edge_program._constants = dict(edge_program.constants)
        self._log_reasons()
        kernels.warn_of_missing(edge_program, lambda node: "delegation_tag" in node.meta)
        return PartitionResult(tagged_exported_program=edge_program, partition_tags=tags)

    def explain(self) -> Report:
        """For each input, constant and node of the program partitioned last: where it went, or why it was left."""
        if self._report is None:
            raise _core.EnnError("explain() tells about the program that was partitioned last; none was")
        return self._report

    def transform_for_pre_decomposition(self, exported_program: ExportedProgram) -> ExportedProgram:
        """Lets operators that the core takes pass ExecuTorch's verifier (openenn.noncore); inputs become contiguous."""
        renamed = _operators_to_rename()
        renames = any(node.target in renamed for node in exported_program.graph.nodes)
        reordered = _inputs_in_other_orders(exported_program)
        if renames or reordered:
            exported_program = _copy_of(exported_program)  # the user's stays as it is
        if renames:
            noncore.rename(exported_program.graph, _names_of_taken_nodes(exported_program), renamed)
        for name in reordered:
            _take_contiguous(exported_program.graph, name)
        return exported_program

    def ops_to_not_decompose(
        self, ep: ExportedProgram
    ) -> tuple[list[torch._ops.OpOverload], Callable[[Node], bool] | None]:
        """The operators that the core takes whole; with a filter when it takes only some of their nodes."""
        if any(node.target is executorch_call_delegate for node in ep.graph.nodes):
            return [], None  # lowered already: what is left is not ours to keep
        graph = ep.graph
        taken = _names_of_taken_nodes(ep)
        nodes: dict[torch._ops.OpOverload, list[bool]] = {op: [] for op in _operators_to_keep()}
        for node in ep.graph.nodes:
            if node.target in nodes:
                nodes[node.target].append(node.name in taken)
        kept = [op for op, decisions in nodes.items() if any(decisions)]
        # Without a filter ExecuTorch leaves out the decomposition of the bodies of while_loop.
        if all(all(nodes[op]) for op in kept) and not _has_bodies(graph):
            return kept, None
        return kept, lambda node: node.graph is graph and node.name in taken

    def _log_reasons(self) -> None:
        names = defaultdict(list)
        for name, reason in self.reasons.items():
            names[reason].append(name)
        for reason, nodes in names.items():
            others = f" (and {len(nodes) - 1} more)" if len(nodes) > 1 else ""
            _logger.warning("node '%s'%s is left to other backends: %s", nodes[0], others, reason)


def _copy_of(program: ExportedProgram) -> ExportedProgram:
    """A program with a graph of its own. torch.fx renames copies of nodes that are named as Python's builtins are."""
    copied = copy.copy(program)
    copied._graph_module = copy.deepcopy(program.graph_module)
    for node, original in zip(copied.graph.nodes, program.graph.nodes, strict=True):
        node.name = original.name
    return copied


def _inputs_in_other_orders(program: ExportedProgram) -> list[str]:
    """The inputs that were channels_last when the model was exported."""
    names = set(program.graph_signature.user_inputs)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.name in names}
    return [
        name
        for name, value in values.items()
        if isinstance(value, torch.Tensor)
        and value.dim() == 4
        and not value.is_contiguous()
        and value.is_contiguous(memory_format=torch.channels_last)
    ]


def _take_contiguous(graph: torch.fx.Graph, name: str) -> None:
    """Makes an input contiguous: ExecuTorch's Python API copies the bytes of tensors whatever their strides are."""
    placeholder = next(node for node in graph.nodes if node.name == name)
    value = placeholder.meta["val"]
    with graph.inserting_after(placeholder):
        clone = graph.call_function(
            torch.ops.aten.clone.default, (placeholder,), {"memory_format": torch.channels_last}
        )
    clone.meta = dict(placeholder.meta)
    placeholder.replace_all_uses_with(clone, delete_user_cb=lambda user: user is not clone)
    with value.fake_mode:
        placeholder.meta["val"] = value.contiguous()


def _has_bodies(graph: Graph) -> bool:
    return any(isinstance(node.target, HigherOrderOperator) for node in graph.nodes)


def _names_of_taken_nodes(program: ExportedProgram) -> set[str]:
    try:
        imported = fx.import_program(program)
        decisions = _core.partition(imported.graph)
    except _core.EnnError:
        return set()  # partition() says what is wrong, once everything is decomposed
    return {node.name for number, node in imported.nodes.items() if decisions[number][0] >= 0}


@functools.cache  # torch puts its tables together anew for each call, in a third of a second
def _decomposed_operators() -> set[torch._ops.OpOverload]:
    return set(default_decompositions() | core_aten_decompositions())


@functools.cache
def _operators_to_keep() -> list[torch._ops.OpOverload]:
    """The overloads of the core's table that ExecuTorch would decompose and lets a backend keep."""
    return [op for op in noncore.known_operators() if op in _decomposed_operators() and noncore.is_functional(op)]


@functools.cache
def _operators_to_rename() -> set[torch._ops.OpOverload]:
    return noncore.operators(_decomposed_operators())
