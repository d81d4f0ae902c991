"""EnnBackend under its ExecuTorch name."""

from openenn.backend import (
    EnnBackend,
)

__all__ = [
    "EnnBackend",
]
