"""Flow helpers under their ExecuTorch names."""

from openenn.export_utils import (
    get_edge_compile_config,
    quantize_module,
    to_edge_transform_and_lower_to_enn,
)

__all__ = [
    "get_edge_compile_config",
    "quantize_module",
    "to_edge_transform_and_lower_to_enn",
]
