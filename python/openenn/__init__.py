"""openenn: the static 8-bit (PT2E, A8W8) flow of ExecuTorch's Exynos (ENN) backend, on any CPU.

Importing this package registers the EnnBackend delegate with ExecuTorch's runtime in this process. The quantizer and
the partitioner are also found under ExecuTorch's names: executorch.backends.samsung.quantizer.quantizer,
executorch.backends.samsung.partition.enn_partitioner.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from openenn._core import EnnError, InvalidArgumentError
from openenn.runtime import register

if TYPE_CHECKING:
    from openenn import pt2e, qat
    from openenn.analysis import AnalysisReport, analyze
    from openenn.partitioner import EnnPartitioner
    from openenn.quantizer import Compatibility, EnnQuantizer, Precision
    from openenn.repair import equalize
    from openenn.report import Report
    from openenn.search import Quantized, quantize

__all__ = [
    "AnalysisReport",
    "Compatibility",
    "EnnError",
    "EnnPartitioner",
    "EnnQuantizer",
    "InvalidArgumentError",
    "Precision",
    "Quantized",
    "Report",
    "__version__",
    "analyze",
    "equalize",
    "pt2e",
    "qat",
    "quantize",
]

__version__ = importlib.metadata.version("openenn")

# Imported when they are first used: running a program needs neither the quantizer nor the partitioner.
_MODULE_OF = {
    "AnalysisReport": "openenn.analysis",
    "Compatibility": "openenn.quantizer",
    "EnnPartitioner": "openenn.partitioner",
    "EnnQuantizer": "openenn.quantizer",
    "Precision": "openenn.quantizer",
    "Quantized": "openenn.search",
    "Report": "openenn.report",
    "analyze": "openenn.analysis",
    "equalize": "openenn.repair",
    "quantize": "openenn.search",
}
_MODULES = ("pt2e", "qat")

register()


if not TYPE_CHECKING:  # a type checker knows the names from the imports above, and reports any other

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"openenn.{name}")
        if name in _MODULE_OF:
            value = getattr(importlib.import_module(_MODULE_OF[name]), name)
            globals()[name] = value
            return value
        raise AttributeError(f"module 'openenn' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
