"""Writes the generated tables: operators from the core, models and upstream's tests from what was recorded of them.

With --check nothing is written: the exit code tells whether the tables are up to date.
"""

import argparse
import importlib
import inspect
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import openenn
from openenn import _core

ROOT = Path(__file__).resolve().parent.parent

SIGNAL_TO_NOISE = (
    "pte_vs_float",
    "quantized_vs_float",
    "upstream_quantized_vs_float",
    "xnnpack_quantized_vs_float",
)

# The kinds of outcome of ExecuTorch's cross-backend suite, in the order of their columns.
SUITE_RESULTS = ["Success (Delegated)", "Success (Undelegated)", "Skipped"]


def table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def operators() -> str:
    """One line per operator of the engine, with the overloads that become it."""
    overloads = defaultdict(list)
    families = {}
    for target, operator, family in _core.operators():
        overloads[operator].append(f"`{target}`")
        families[operator] = family
    rows = [[name, families[name], ", ".join(targets)] for name, targets in overloads.items()]
    return table(["operator", "family", "PyTorch overloads"], rows)


def composites() -> str:
    """The composite operators that are written as calls of operators of the engine."""
    return ", ".join(f"`{target}`" for target in _core.COMPOSITES)


def families() -> str:
    """One line per family of operators."""
    members: dict[str, dict[str, None]] = defaultdict(dict)
    for _, operator, family in _core.operators():
        members[family][operator] = None
    return table(["family", "operators"], [[family, ", ".join(names)] for family, names in members.items()])


def models() -> str:
    """What benchmarks/all_models.py measured."""

    def text(value: float | str | None, form: str) -> str:
        if value is None:
            return "–"
        return value if isinstance(value, str) else format(value, form)

    columns = [
        "model",
        "weights",
        "size",
        "delegate calls",
        "operators outside",
        "cosine with Q/DQ",
        "same top-1",
        ".pte vs float",
        "Q/DQ vs float",
        "Q/DQ as upstream places it",
        "XNNPACKQuantizer's Q/DQ",
    ]
    rows = [
        [
            name,
            result["weights"],
            str(result["size"]),
            str(result["delegate_calls"]),
            str(result["outside"]),
            text(result["cosine"], ".5f"),
            text(result["top1"], ".1%"),
            *(text(result[key], ".1f") for key in SIGNAL_TO_NOISE),
        ]
        for name, result in json.loads((ROOT / "docs" / "models.json").read_text())["models"].items()
    ]
    return table(columns, rows)


# The columns of the trained networks' table and the engines of benchmarks/trained.py that fill them.
TRAINED = {
    "float": None,
    "Q/DQ": "openenn",
    ".pte": "openenn",
    "repair": "openenn_repair",
    "XNNPACK": "xnnpack",
    "upstream": "upstream",
    "x86": "x86",
    "NNCF": "nncf",
}


def trained() -> str:
    """What benchmarks/trained.py measured: one line per metric of a network, and where."""
    recorded = json.loads((ROOT / "docs" / "trained.json").read_text())
    machine = recorded["machine"]

    def cell(result: dict[str, Any], column: str, metric: str) -> str:
        figures = result["figures"].get(TRAINED[column], {})
        value = result["metrics"].get(column, {}).get(metric)
        if value is None:
            return "fails" if "error" in figures else "–"
        first = metric == next(iter(result["metrics"]["float"]))
        share = figures.get("MACs in float") or 0.0
        note = f" ({share:.0%} in float)" if first and column not in (".pte", "repair") and share >= 0.005 else ""
        return format(value, ".1f" if metric.startswith("SQNR") else ".3f") + note

    rows = [
        [*(["", ""] if i else [name, result["data"]]), metric, *(cell(result, column, metric) for column in TRAINED)]
        for name, result in recorded["networks"].items()
        for i, metric in enumerate(result["metrics"]["float"])
    ]
    threads = "1 thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    where = f"Measured on {machine['cpu']} ({machine['isas'][-1]} kernels) with {threads}, at {machine['commit'][:7]}."
    return f"{table(['network', 'data', 'metric', *TRAINED], rows)}\n\n{where}"


def upstream_tests() -> str:
    """What the runs of tests/upstream/run.py recorded."""
    rows = []
    for name, flows in json.loads((ROOT / "docs" / "upstream_tests.json").read_text()).items():
        for flow, results in flows.items():
            delegated = results.get("passed", 0) + results.get(SUITE_RESULTS[0], 0)
            undelegated, skipped = results.get(SUITE_RESULTS[1], 0), results.get(SUITE_RESULTS[2], 0)
            skipped += results.get("skipped", 0)
            failed = sum(results.values()) - delegated - undelegated - skipped
            rows.append([name, flow, *map(str, (delegated, undelegated, skipped, failed))])
    return table(["tests", "flow", "passed, delegated", "passed, nothing delegated", "skipped", "failed"], rows)


def signature(function: Callable) -> str:
    """The parameters and the result, with types by their last names: (model: GraphModule) -> Report."""
    text = str(inspect.signature(function))
    text = re.sub(r"<([\w.]+): [^>]*>", r"\1", text)  # a default that is a member of an enum
    text = re.sub(r"\b(?:\w+\.)+(\w+)", lambda name: name[0] if name[0] in _DEFAULTS else name[1], text)
    text = re.sub(r"\(self(?:, )?", "(", text)
    return text.replace(" -> None", "").replace("NoneType", "None")


_DEFAULTS = {f"{kind.__name__}.{member.name}" for kind in (openenn.Compatibility, openenn.Precision) for member in kind}


def paragraphs(documented: Any) -> list[str]:
    """The paragraphs of a docstring, each on one line."""
    return [" ".join(text.split()) for text in (inspect.getdoc(documented) or "").split("\n\n")]


def api_entry(name: str, value: Any) -> list[str]:
    """One name of the Python API: a heading, its docstring, and its public members."""
    if isinstance(value, str):
        return [f"### `{name}`", "", "The version of the installed package.", ""]
    if not inspect.isclass(value):
        return [f"### `{name}{signature(value)}`", "", "\n\n".join(paragraphs(value)), ""]
    if issubclass(value, Exception):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        return [f"### `{name}({bases})`", "", *paragraphs(value), ""]
    if issubclass(value, Enum):
        members = ", ".join(f"`{member.name}`" for member in value)
        return [f"### `{name}`", "", *paragraphs(value), "", f"Members: {members}.", ""]
    lines = [f"### `{name}{signature(value)}`", "", "\n\n".join(paragraphs(value)), ""]
    methods = {key: item for key, item in vars(value).items() if inspect.isfunction(item)}
    public = [key for key in methods if not key.startswith("_") or key == "__call__"]
    inherited = [key for key in public if any(key in vars(base) for base in value.__mro__[1:])]
    own = [
        f"- `{key}{signature(methods[key])}`: {' '.join(paragraphs(methods[key]))}"
        for key in public
        if key not in inherited
    ]
    lines += [*own, ""] if own else []
    if inherited:
        base = value.__bases__[0]
        called = ", ".join(f"`{key}`" for key in inherited)
        lines += [f"It is a `{base.__name__}` of {base.__module__.split('.')[0]}, which calls {called}.", ""]
    return lines


def python_api() -> str:
    """What `import openenn` has, from __all__, the signatures and the docstrings."""
    lines = []
    values = {name: getattr(openenn, name) for name in openenn.__all__}
    for name, value in values.items():
        if not isinstance(value, ModuleType):
            lines += api_entry(name, value)
    for name, value in values.items():
        if isinstance(value, ModuleType):
            lines += [f"## `openenn.{name}`", "", paragraphs(value)[0], ""]
            for member in value.__all__:
                lines += api_entry(f"{name}.{member}", getattr(value, member))
    return "\n".join(lines).rstrip("\n")


def executorch_names() -> str:
    """The names that ExecuTorch's import paths have."""
    folder = ROOT / "python" / "openenn" / "samsung"
    rows = []
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py":
            module = ".".join(["executorch.backends.samsung", *path.relative_to(folder).with_suffix("").parts])
            names = importlib.import_module(module).__all__
            rows.append([f"`{module}`", ", ".join(f"`{name}`" for name in names)])
    return table(["module", "names"], rows)


# (file, name of the markers around the table) -> what stands between them
TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("docs/operators.md", "operators"): operators,
    ("docs/python.md", "api"): python_api,
    ("docs/python.md", "executorch-names"): executorch_names,
    ("docs/operators.md", "composites"): composites,
    ("README.md", "families"): families,
    ("README.md", "trained"): trained,
    ("README.md", "models"): models,
    ("README.md", "upstream-tests"): upstream_tests,
}


def replace_between(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, rest = text.split(begin, 1)
    _, tail = rest.split(end, 1)
    return f"{head}{begin}\n{content}\n{end}{tail}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the tables are up to date")
    check = parser.parse_args().check
    stale = []
    for (file, name), content in TABLES.items():
        path = ROOT / file
        old = path.read_text()
        new = replace_between(old, name, content())
        if new != old:
            stale.append(f"{file}: the table '{name}' is out of date; run make docs")
            if not check:
                path.write_text(new)
    if check and stale:
        print("\n".join(stale), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
