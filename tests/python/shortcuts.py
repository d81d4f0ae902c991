"""Shortcuts for a process that lowers hundreds of models: torch and torchao repeat work that gives the same each time.

Nothing here changes a result. `apply` is called once, before the first test.
"""

import copy
import functools
import gc
import types
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch._C import DispatchKey
from torch._export import utils as export_utils
from torch.fx import traceback
from torchao.quantization.pt2e import qat_utils


def _pattern_key(pattern: Any) -> Hashable:
    """Equal for the patterns of two calls of one of torchao's functions with equal arguments."""
    if isinstance(pattern, torch.nn.Module):
        return _pattern_key(pattern.fn)
    if isinstance(pattern, torch.Tensor):
        return pattern.dtype, pattern.shape
    if hasattr(pattern, "__code__"):
        return pattern.__code__, tuple(_pattern_key(cell.cell_contents) for cell in pattern.__closure__ or ())
    return type(pattern), repr(pattern)


def _trace_patterns_once(trace: Callable) -> Callable:
    """torchao traces its hundred patterns of quantization-aware training anew for each model: half a minute."""
    traced: dict[Hashable, torch.fx.GraphModule] = {}

    @functools.wraps(trace)
    def traced_once(pattern: Any, *args: Any, **kwargs: Any) -> torch.fx.GraphModule:
        inputs, *options = args
        named = tuple((name, _pattern_key(value)) for name, value in kwargs.items())
        key = (_pattern_key(pattern), tuple(map(_pattern_key, inputs)), tuple(options), named)
        if key not in traced:
            traced[key] = trace(pattern, *args, **kwargs)
        return copy.deepcopy(traced[key])

    return traced_once


def _registered_without_annotations(register: Callable) -> Callable:
    """An export registers 6,000 kernels for a moment; most of that time makes the annotations of a closure."""

    @functools.wraps(register)
    def py_impl(self: Any, key: Any) -> Callable:
        def inner(kernel):
            if key in self.py_kernels:
                raise RuntimeError(f"Trying to override a python impl for {key} on operator {self.name()}")
            self.py_kernels[key] = kernel
            self._dispatch_cache.clear()
            return kernel

        return inner if isinstance(key, DispatchKey) and key != DispatchKey.Python else register(self, key)

    return py_impl


def apply() -> None:
    qat_utils._get_aten_graph_module_for_pattern = _trace_patterns_once(qat_utils._get_aten_graph_module_for_pattern)
    # torch collects the operators of each namespace several times per export, in a third of a second; no test adds any.
    export_utils._collect_all_valid_cia_ops_for_namespace = functools.cache(
        export_utils._collect_all_valid_cia_ops_for_namespace
    )
    torch._ops.OperatorBase.py_impl = _registered_without_annotations(torch._ops.OperatorBase.py_impl)
    # Where a node came from is copied deeply once per node and pass, a history that only grows. Nothing changes it.
    traceback.copy = types.SimpleNamespace(deepcopy=list, copy=copy.copy)
    # Collections are made between tests (conftest.py); what was imported stays and need not be looked through.
    gc.collect()
    gc.freeze()
    gc.disable()
