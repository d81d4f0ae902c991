"""Compile specifications: the chipset that a model is meant for."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum, unique

from executorch.exir.backend.backend_details import CompileSpec

from openenn import _core

ENN_COMPILE_OPTION_TITLE = "enn_compile_options"


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
    _core.check_chipset(options.chipset)
    return CompileSpec(ENN_COMPILE_OPTION_TITLE, json.dumps(asdict(options)).encode("ascii"))


def gen_samsung_backend_compile_spec(chipset: str, perf_mode: PerformanceMode | None = None) -> CompileSpec:
    """The specification of a chipset, named in any case: "E9955"."""
    mode = PerformanceMode.DEFAULT if perf_mode is None else PerformanceMode(perf_mode)
    return gen_samsung_backend_compile_spec_core(EnnExecuTorchOptions(str(chipset).upper(), mode))


def chipset_of(compile_specs: Sequence[CompileSpec]) -> str | None:
    """The chipset that the specifications name, checked; None when they name none."""
    for spec in compile_specs:
        if spec.key != ENN_COMPILE_OPTION_TITLE:
            continue
        try:
            chipset = str(json.loads(bytes(spec.value))["chipset"])
        except (ValueError, KeyError, TypeError):
            raise _core.InvalidArgumentError(
                f"the compile specification '{spec.key}' is not one of gen_samsung_backend_compile_spec"
            ) from None
        _core.check_chipset(chipset)
        return chipset
    return None
