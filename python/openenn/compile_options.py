"""Compile specifications: the chipset that a model is meant for."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique

from executorch.exir.backend.backend_details import CompileSpec

from openenn import _core

ENN_COMPILE_OPTION_TITLE = _core.COMPILE_OPTIONS_KEY


@unique
class PerformanceMode(IntEnum):
    """Upstream's modes; a program of this engine runs the same in each."""

    DEFAULT = 0
    HIGH_PERFORMANCE = 1


@dataclass
class EnnExecuTorchOptions:
    """What a compile specification holds."""

    chipset: str
    perf_mode: PerformanceMode = PerformanceMode.DEFAULT


def gen_samsung_backend_compile_spec_core(options: EnnExecuTorchOptions) -> CompileSpec:
    """The specification of `options`."""
    return CompileSpec(*_core.gen_samsung_backend_compile_spec(options.chipset, int(options.perf_mode)))


def gen_samsung_backend_compile_spec(chipset: str, perf_mode: PerformanceMode | None = None) -> CompileSpec:
    """The specification of a chipset, named in any case: "E9955"."""
    mode = PerformanceMode.DEFAULT if perf_mode is None else PerformanceMode(perf_mode)
    return gen_samsung_backend_compile_spec_core(EnnExecuTorchOptions(str(chipset), mode))


def source_lines_compile_spec() -> CompileSpec:
    """The specification that asks for the lines of the eager model in the program's steps."""
    return CompileSpec(*_core.source_lines_compile_spec())


def asks_for_source_lines(compile_specs: Sequence[CompileSpec]) -> bool:
    """Whether that specification is among them."""
    return _core.asks_for_source_lines([(spec.key, bytes(spec.value)) for spec in compile_specs])


def check(compile_specs: Sequence[CompileSpec]) -> None:
    """Raises InvalidArgumentError when a specification names no chipset that there is."""
    _core.check_compile_specs([(spec.key, bytes(spec.value)) for spec in compile_specs])
