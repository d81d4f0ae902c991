#!/usr/bin/env python3
"""Checks that #include lines point only the allowed way.

ALLOWED is the table of ARCHITECTURE.md's layering: for each part of the tree, the parts (or single files)
that it may include besides itself. Tests and benchmarks that lie beside the code may include anything.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What every part may know: results, element types and shapes, borrowed threads.
PUBLIC_TYPES = {"enn/result.hpp", "enn/tensor_type.hpp", "enn/parallel.hpp"}

AHEAD_OF_TIME = {"api", "base", "ir", "ops", "ops/ops.def"}

ALLOWED: dict[str, set[str]] = {
    # The public headers; the three that everything uses come first.
    "api": set(),
    "base": PUBLIC_TYPES,
    "ir": PUBLIC_TYPES | {"base", "ops/ops.def"},
    # A rule is written with the quantizer's types; tables and constants are computed with the kernels'
    # functions, which functions.def lists.
    "ops": PUBLIC_TYPES
    | {
        "base",
        "ir",
        "schema",
        "ops/ops.def",
        "quantizer/quantizer.hpp",
        "kernels/binary/functions.def",
        "kernels/binary/functions.hpp",
        "kernels/convert/functions.hpp",
        "kernels/reduce/functions.hpp",
        "kernels/unary_f32/functions.hpp",
        "kernels/unary_f32/functions.def",
    },
    "quantizer": AHEAD_OF_TIME,
    "archive": AHEAD_OF_TIME,
    "pt2e": AHEAD_OF_TIME | {"quantizer", "archive", "kernels"},
    "analysis": AHEAD_OF_TIME | {"quantizer", "archive", "pt2e"},
    "search": AHEAD_OF_TIME | {"quantizer", "archive", "pt2e", "analysis"},
    "partitioner": AHEAD_OF_TIME,
    "compiler": AHEAD_OF_TIME | {"schema"},
    "lowering": AHEAD_OF_TIME | {"schema", "partitioner", "compiler"},
    "kernels": PUBLIC_TYPES | {"base"},
    "execute": PUBLIC_TYPES | {"base", "kernels", "schema", "runtime/operator.hpp"},
    "runtime": {"base", "api", "schema"},
    "symbolic": AHEAD_OF_TIME | {"compiler", "schema", "runtime/payload.hpp"},
    "model": {"base", "api", "ir", "compiler"},
    "executorch": {"base", "api"},
    "python": AHEAD_OF_TIME
    | {"quantizer", "archive", "pt2e", "analysis", "search", "partitioner", "compiler", "lowering", "symbolic", "api"},
    "data": PUBLIC_TYPES | {"api", "base", "archive/zip.hpp"},
    "tools": AHEAD_OF_TIME
    | {"quantizer", "archive", "pt2e", "search", "partitioner", "compiler", "lowering", "data", "schema"}
    | {"runtime/payload.hpp", "runtime/operators.def"},
    "examples": {"base", "api"},
}

# Third-party headers that only some parts may know, by the first directory of the include.
EXTERNAL = {
    "executorch": {"executorch", "examples"},
    "nanobind": {"python"},
    "simdjson.h": {"archive"},
    "flatbuffers": {"ops", "compiler", "lowering", "execute", "runtime", "symbolic"},
    "nlohmann": {"analysis", "archive", "lowering", "pt2e", "python", "quantizer", "search", "tools"},
    "CLI": {"tools"},
    "jpeglib.h": {"data"},
    "png.h": {"data"},
    "zlib.h": {"data"},
    "immintrin.h": {"kernels", "base"},
    "arm_neon.h": {"kernels", "base"},
}

UNCHECKED = {"tests", "benchmarks"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def part_of(path: str) -> str:
    """The part that a file belongs to; `path` is relative to the root or to src/."""
    path = path.removeprefix("src/")
    if path in ("program_generated.h", "pte_generated.h", "symbolic_generated.h"):
        return "schema"
    if path.startswith(("include/enn/", "enn/")):
        return "api"
    if re.fullmatch(r"ops/(\w+/)?(execute(_\w+)?|permute_blocks)\.[ch]pp", path):
        return "execute"
    return path.split("/", maxsplit=1)[0]


def exempt(path: str) -> bool:
    """Whether a file is a test or a benchmark."""
    name = Path(path).stem
    return part_of(path) in UNCHECKED or re.search(r"(^|_)(test|tests|bench)(_|$)", name) is not None


def check(path: str, text: str) -> list[str]:
    """The includes of one file that break the table."""
    part = part_of(path)
    if part not in ALLOWED:
        return [f"{path}: no part of scripts/check_layers.py's table"]
    problems = []
    for match in INCLUDE.finditer(text):
        quote, target = match.groups()
        line = text.count("\n", 0, match.start(2)) + 1
        first = target.split("/", maxsplit=1)[0]
        if first in EXTERNAL and quote == "<":
            if part not in EXTERNAL[first]:
                owners = ", ".join(sorted(EXTERNAL[first]))
                problems.append(f"{path}:{line}: <{target}> belongs to {owners} only")
        elif quote == '"':
            local = (ROOT / path).parent / target
            resolved = str(local.relative_to(ROOT)) if local.is_file() else target
            other = part_of(resolved)
            if other != part and not ALLOWED[part] & {other, target}:
                problems.append(f"{path}:{line}: {part} may not include {target} ({other})")
    return problems


def main() -> int:
    """Check every C++ file."""
    problems = []
    files = 0
    for folder in ("include", "src", "python", "tools", "examples"):
        for file in sorted((ROOT / folder).rglob("*.[chd][pe][pf]")):
            path = str(file.relative_to(ROOT))
            if not exempt(path):
                files += 1
                problems += check(path, file.read_text(encoding="utf-8"))
    print("\n".join(problems) if problems else f"layers: {files} files include only what they may")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
