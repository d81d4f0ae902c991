"""Quantization for the Exynos (ENN) backend."""

from openenn.overlay import search_path
from openenn.quantizer import Compatibility, EnnQuantizer, Precision

__path__ = search_path(__name__)
__all__ = ["Compatibility", "EnnQuantizer", "Precision"]
