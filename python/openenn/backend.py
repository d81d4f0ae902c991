"""EnnBackend.preprocess: the core compiles a partition into the bytes that the delegate runs."""

from typing import final

from executorch.exir.backend.backend_details import BackendDetails, CompileSpec, PreprocessResult
from torch.export import ExportedProgram

from openenn import _core, compile_options, fx


@final
class EnnBackend(BackendDetails):
    """Known to ExecuTorch by the name of this class."""

    @staticmethod
    def preprocess(edge_program: ExportedProgram, compile_specs: list[CompileSpec]) -> PreprocessResult:
        """The compiled program of a partition, or one that is compiled for the sizes that a run meets."""
        compile_options.check(compile_specs)
        source_lines = compile_options.asks_for_source_lines(compile_specs)
        if fx.is_symbolic(edge_program):
            graph, example = fx.import_symbolic(edge_program)
            graph.check(example)
            payload = graph.write(source_lines)
        else:
            imported = fx.import_program(edge_program)
            inputs, outputs = fx.dim_orders(imported)
            payload, _ = _core.compile(
                imported.graph, source_lines=source_lines, input_orders=inputs, output_orders=outputs
            )
        return PreprocessResult(processed_bytes=payload, debug_handle_map={})
