"""EnnQuantizer under its ExecuTorch name."""

from openenn.quantizer import (
    Compatibility,
    EnnQuantizer,
    Precision,
)

__all__ = [
    "Compatibility",
    "EnnQuantizer",
    "Precision",
]
