"""Writes the tables of operators and models into README.md, from the core and from examples/models.py.

With --check nothing is written: the exit code tells whether the tables are up to date.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from models import MODELS  # noqa: E402
from openenn import _core  # noqa: E402


def operator_table() -> str:
    """One line per operator of the engine, with the overloads that become it."""
    overloads = defaultdict(list)
    families = {}
    for target, operator, family in _core.operators():
        overloads[operator].append(f"`{target}`")
        families[operator] = family
    lines = ["| operator | family | PyTorch overloads |", "| --- | --- | --- |"]
    lines += [f"| {name} | {families[name]} | {', '.join(targets)} |" for name, targets in overloads.items()]
    return "\n".join(lines)


def model_table() -> str:
    """The networks that the tests lower."""
    lines = ["| model | weights in tests and benchmarks |", "| --- | --- |"]
    lines += [f"| {name} | {weights} |" for name, (weights, _) in MODELS.items()]
    return "\n".join(lines)


def replace_between(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, rest = text.split(begin, 1)
    _, tail = rest.split(end, 1)
    return f"{head}{begin}\n{table}\n{end}{tail}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the tables are up to date")
    check = parser.parse_args().check
    path = ROOT / "README.md"
    old = path.read_text()
    new = replace_between(replace_between(old, "operators", operator_table()), "models", model_table())
    if new == old:
        return 0
    if check:
        print("README.md: the generated tables are out of date; run make docs", file=sys.stderr)
        return 1
    path.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
