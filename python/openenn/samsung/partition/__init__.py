"""Partitioning for the Exynos (ENN) backend."""

from openenn.overlay import search_path

__path__ = search_path(__name__)
