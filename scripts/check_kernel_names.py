#!/usr/bin/env python3
"""Checks the rows of every src/kernels/<family>/kernels.def.

A row is ENN_<TABLE>(…, name, …, features). Its name is <op>_<types>[_<tile>]_<isa>, for example
igemm_u8_s8_u8_4x24c4_avx2: operands' and result's element types, the block of the result that the inner loop
keeps in registers (c4: four consecutive products are interleaved), the ISA. Rows are ordered best first and
the last row of each file is a reference.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# ISA suffix: the feature that a row must name, the source that holds it. In order of rank within its CPU.
ISAS = {
    "reference": (None, "reference"),
    "avx2": ("Avx2", "x86_avx2"),
    "avxvnni": ("AvxVnni", "x86_avxvnni"),
    "avx512vnni": ("Avx512Vnni", "x86_avx512vnni"),
    "neon": ("Neon", "arm_neon"),
    "neondot": ("NeonDot", "arm_neondot"),
    "neoni8mm": ("NeonI8mm", "arm_neoni8mm"),
}
RANK = {isa: rank for rank, isa in enumerate(ISAS)}

TYPE = r"(?:[us](?:8|16|32|64)|f32|x8|x32)"
NAME = re.compile(
    rf"(?P<op>[a-z]+[0-9]*[a-z]*(?:_(?!{TYPE}_)[a-z]+[0-9]*[a-z]*)*?)(?:_{TYPE})+"
    rf"(?:_(?P<tile>\d+(?:x\d+)*(?:c\d+)?))?_(?P<isa>{'|'.join(ISAS)})"
)
ROW = re.compile(r"^(ENN_\w+)\(([^)]*)\)", re.MULTILINE)


def check_table(path: Path) -> list[str]:
    """What is wrong with one kernels.def."""
    problems = []
    where = path.relative_to(ROOT)
    last: dict[str, str] = {}
    seen = set()
    isa = ""
    for match in ROW.finditer(path.read_text(encoding="utf-8")):
        arguments = [argument.strip() for argument in match.group(2).split(",")]
        at = next((i for i, argument in enumerate(arguments) if NAME.fullmatch(argument)), None)
        if at is None:
            problems.append(f"{where}: {match.group(0)}: no name of the form <op>_<types>[_<tile>]_<isa>")
            continue
        name = arguments[at]
        # What comes before the name tells which of the file's tables the row belongs to.
        table = " ".join([match.group(1), *arguments[:at]])
        isa = name.rsplit("_", maxsplit=1)[1]
        feature, source = ISAS[isa]
        if name in seen:
            problems.append(f"{where}: {name}: listed twice")
        seen.add(name)
        if feature is not None and not any(a.split("::")[-1] == feature for a in arguments):
            problems.append(f"{where}: {name}: does not ask for CpuFeature::{feature}")
        # A row may be built on another family's kernel, which has its source there.
        borrowed = any(a != name and (other := NAME.fullmatch(a)) and other["isa"] == isa for a in arguments)
        if not borrowed and not list(path.parent.glob(f"{source}*.cpp")):
            problems.append(f"{where}: {name}: there is no {source}.cpp beside the table")
        before = last.get(table)
        if before is not None and comparable(isa, before) and RANK[isa] > RANK[before]:
            problems.append(f"{where}: {name}: rows are ordered best first, and {before} is no better than {isa}")
        last[table] = isa
    if isa != "reference":
        problems.append(f"{where}: the last row is {isa}, not the reference")
    return problems


def comparable(isa: str, other: str) -> bool:
    """Whether one CPU can have both."""
    return "reference" in (isa, other) or isa.startswith("neon") == other.startswith("neon")


def main() -> int:
    """Check every table."""
    tables = sorted((ROOT / "src/kernels").glob("*/kernels.def"))
    problems = [problem for table in tables for problem in check_table(table)]
    print("\n".join(problems) if problems else f"kernel names: {len(tables)} tables follow the grammar")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
