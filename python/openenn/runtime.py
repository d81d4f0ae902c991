"""Registers the EnnBackend delegate with ExecuTorch's runtime."""

import ctypes
import importlib.metadata
import warnings
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from openenn import patches

BACKEND = "EnnBackend"
LIBRARY = Path(__file__).parent / "lib" / "libexecutorch_backend_enn.so"


def register() -> None:
    """Loads the delegate into this process; without effect when it is there already."""
    try:
        with warnings.catch_warnings():
            # ExecuTorch calls its Python API experimental each time it is imported.
            warnings.simplefilter("ignore")
            from executorch.extension.pybindings import portable_lib
    except ImportError as e:
        raise ImportError(
            f"openenn needs the package executorch to run programs, and it cannot be imported: {e}"
        ) from e
    if BACKEND in portable_lib._get_registered_backend_names():
        return
    try:
        # Its symbols are global so that the registration and the runtime agree on one registry.
        library = ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError as e:
        version = importlib.metadata.version("executorch")
        raise ImportError(f"openenn's delegate does not load beside executorch {version}: {e}") from e
    if BACKEND not in portable_lib._get_registered_backend_names():
        version = importlib.metadata.version("executorch")
        raise ImportError(f"openenn's delegate found another runtime than that of executorch {version}")
    _arrange_inputs(library)


def _arrange_inputs(library: ctypes.CDLL) -> None:
    """Gives methods with our delegate their inputs in the order of the shape.

    ExecuTorch copies the bytes of an input whatever its strides are, so a channels_last tensor reaches a delegate
    with its elements in another order and without a sign of it.
    """
    loaded_methods = library.enn_backend_loaded_methods
    loaded_methods.restype = ctypes.c_uint64
    ours: weakref.WeakSet[Any] = weakref.WeakSet()

    def noting(load_method: Callable[..., Any]) -> Callable[..., Any]:
        def load_and_note(self: Any, name: str) -> Any:
            before = loaded_methods()
            method = load_method(self, name)
            if method is not None and loaded_methods() > before:
                ours.add(method)
            return method

        return load_and_note

    def arranging(execute: Callable[..., Any]) -> Callable[..., Any]:
        def arrange_and_execute(self: Any, inputs: Sequence[Any]) -> Sequence[Any]:
            if self in ours:
                inputs = [value.contiguous() if isinstance(value, torch.Tensor) else value for value in inputs]
            return execute(self, inputs)

        return arrange_and_execute

    patches.wrap_runtime(noting, arranging)
