"""Every change that openenn makes to torchao and ExecuTorch in this process.

Each replaces one function of a package by one that calls it, and does something else only where the package's own
does what is wrong or useless. A package whose function is not there, or takes other arguments than the one that was
wrapped here, is a newer one: importing openenn then says so, and nothing is replaced half.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

_MARK = "__wrapped_by_openenn__"


class PatchError(ImportError):
    """A package has moved away from what is wrapped here."""


def wrap(owner: Any, name: str, parameters: str, make: Callable[[Callable], Callable]) -> None:
    """Replaces `owner.name`, which takes `parameters`, by make(the original); once for a process."""
    original = getattr(owner, name, None)
    where = f"{owner.__module__}.{owner.__name__}" if inspect.isclass(owner) else owner.__name__
    if original is None:
        raise PatchError(f"openenn wraps {where}.{name}, which the installed version does not have")
    if hasattr(original, _MARK):
        return
    taken = " ".join(inspect.signature(original).parameters)
    if taken != parameters:
        raise PatchError(f"openenn wraps {where}.{name}({parameters}), but the installed version takes ({taken})")
    wrapper = functools.wraps(original)(make(original))
    setattr(wrapper, _MARK, True)
    setattr(owner, name, wrapper)


def wrap_runtime(load_method: Callable[[Callable], Callable], execute: Callable[[Callable], Callable]) -> None:
    """ExecuTorch's classes of programs and methods."""
    from executorch import runtime

    wrap(runtime.Program, "load_method", "self name", load_method)
    wrap(runtime.Method, "execute", "self inputs", execute)


def wrap_torchao() -> None:
    """What prepare_pt2e, prepare_qat_pt2e and convert_pt2e of torchao call."""
    from torchao.quantization.pt2e import qat_utils, quantize_pt2e

    from openenn import batch_norms, guard

    wrap(quantize_pt2e, "_fuse_conv_bn_", "m", batch_norms.guarded_fold)
    wrap(quantize_pt2e, "_fuse_linear_bn_", "m", batch_norms.guarded_fold)
    wrap(quantize_pt2e, "_fuse_conv_bn_qat", "m", batch_norms.guarded_fuse)
    wrap(qat_utils, "_fold_conv_bn_qat_helper", "m conv_fn example_inputs is_cuda", batch_norms.quick_fold)
    wrap(
        quantize_pt2e,
        "_convert_to_reference_decomposed_fx",
        "graph_module convert_custom_config qconfig_mapping backend_config",
        guard.guarded_conversion,
    )
