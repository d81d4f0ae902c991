"""Compile specifications under their ExecuTorch names."""

from openenn.compile_options import (
    ENN_COMPILE_OPTION_TITLE,
    EnnExecuTorchOptions,
    PerformanceMode,
    gen_samsung_backend_compile_spec,
    gen_samsung_backend_compile_spec_core,
)

__all__ = [
    "ENN_COMPILE_OPTION_TITLE",
    "EnnExecuTorchOptions",
    "PerformanceMode",
    "gen_samsung_backend_compile_spec",
    "gen_samsung_backend_compile_spec_core",
]
