"""EnnBackend.preprocess: the core compiles a partition into the bytes that the delegate runs."""

from typing import final

import torch
from executorch.exir.backend.backend_details import BackendDetails, CompileSpec, PreprocessResult
from torch.export import ExportedProgram
from torch.fx import Node

from openenn import _core, compile_options, fx


@final
class EnnBackend(BackendDetails):
    """Known to ExecuTorch by the name of this class."""

    @staticmethod
    def preprocess(edge_program: ExportedProgram, compile_specs: list[CompileSpec]) -> PreprocessResult:
        """The compiled program of a partition, or one that is compiled for the sizes that a run meets."""
        compile_options.check(compile_specs)
        source_lines = compile_options.asks_for_source_lines(compile_specs)
        _check_dim_order(edge_program)
        if fx.is_symbolic(edge_program):
            graph, example = fx.import_symbolic(edge_program)
            graph.check(example)
            payload = graph.write(source_lines)
        else:
            payload, _ = _core.compile(fx.import_program(edge_program).graph, source_lines=source_lines)
        return PreprocessResult(processed_bytes=payload, debug_handle_map={})


def _check_dim_order(program: ExportedProgram) -> None:
    """Tensors cross the border of a delegate in the order of their shape."""
    signature = program.graph_signature
    border: list[Node] = [node for node in program.graph.nodes if node.name in signature.user_inputs]
    border += [node for node in program.graph.output_node().all_input_nodes]
    for node in border:
        tensor = node.meta.get("val")
        if isinstance(tensor, torch.Tensor) and not tensor.is_contiguous():
            raise _core.EnnError(
                f"'{node.name}' has shape {list(tensor.shape)} and strides {list(tensor.stride())}; "
                "inputs and outputs of the engine must be contiguous"
            )
