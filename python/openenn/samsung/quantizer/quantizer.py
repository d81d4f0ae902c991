"""EnnQuantizer under its ExecuTorch name."""

from openenn.quantizer import (
    EnnQuantizer,
    Precision,
)

__all__ = [
    "EnnQuantizer",
    "Precision",
]
