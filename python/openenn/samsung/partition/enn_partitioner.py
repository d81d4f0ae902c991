"""EnnPartitioner under its ExecuTorch name."""

from openenn.partitioner import (
    EnnPartitioner,
)

__all__ = [
    "EnnPartitioner",
]
