"""Quantization configurations under their ExecuTorch names."""

from openenn.quantizer import (
    Precision,
    QuantizationConfig,
    get_quant_config,
)

__all__ = [
    "Precision",
    "QuantizationConfig",
    "get_quant_config",
]
