"""Registers the EnnBackend delegate with ExecuTorch's runtime."""

import ctypes
import importlib.metadata
import warnings
from pathlib import Path

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
        ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError as e:
        version = importlib.metadata.version("executorch")
        raise ImportError(f"openenn's delegate does not load beside executorch {version}: {e}") from e
    if BACKEND not in portable_lib._get_registered_backend_names():
        version = importlib.metadata.version("executorch")
        raise ImportError(f"openenn's delegate found another runtime than that of executorch {version}")
