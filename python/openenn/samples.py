"""Samples as people give them: lists of tensors, or of the arguments of calls."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy
import torch
from torch.utils import _pytree as pytree

from openenn import _core


def arguments_of(sample: Any) -> tuple[Any, ...]:
    """The arguments of a call: a tuple or list as they are, or one tensor."""
    return tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)


def tensors_of(values: Any) -> list[Any]:
    """The tensors and arrays among the leaves of a call's arguments or results, as the core reads them."""
    leaves = [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, (torch.Tensor, numpy.ndarray))]
    return [torch.as_tensor(leaf).detach().contiguous() for leaf in leaves]


def first_sample(samples: Iterable[Any], read: str, purpose: str) -> Any:
    """The first of samples that are read several times; an error when there is none, or when they end after once."""
    if isinstance(samples, Iterator):
        raise _core.InvalidArgumentError(f"samples are read {read}: give a list or a DataLoader, not an iterator")
    first = next(iter(samples), None)
    if first is None:
        raise _core.InvalidArgumentError(f"there is no sample to {purpose} on")
    return first
