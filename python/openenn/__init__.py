"""openenn: the static 8-bit (PT2E, A8W8) flow of ExecuTorch's Exynos (ENN) backend, on any CPU.

Importing this package registers the EnnBackend delegate with ExecuTorch's runtime in this process. The names
that a model's author uses are those of ExecuTorch: executorch.backends.samsung.quantizer.quantizer,
executorch.backends.samsung.partition.enn_partitioner and so on.
"""

from openenn._core import EnnError, InvalidArgumentError
from openenn.runtime import register

register()

__all__ = ["EnnError", "InvalidArgumentError"]
