#!/usr/bin/env python3
"""Checks every file under version control: names, length, and that no machine's paths are in it.

A file may have MAX_LINES lines; C++ and Python files have snake_case names, headers begin with #pragma once;
links in Markdown files lead to files and headings that exist.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 800
SOURCE = {".cpp", ".hpp", ".py", ".def", ".fbs"}
# Folders of users and build machines; system folders such as /usr and /dev are everybody's.
MACHINE_PATH = re.compile(r"(?<![\w.}\])-])/(?:home|root|work|Users|mnt|srv)/[\w.-]+")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def tracked_files() -> list[Path]:
    """The files of the working tree that git knows."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def anchors(text: str) -> set[str]:
    """The anchors that hosting sites give to headings."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    result = set()
    for heading in HEADING.findall(plain):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        result.add(kept.replace(" ", "-"))
    return result


def check_links(path: Path, text: str) -> list[str]:
    """What is wrong with the links of a Markdown file."""
    problems = []
    for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            problems.append(f"links to {target}, which does not exist")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            problems.append(f"links to {target}, and there is no such heading")
    return problems


def check(path: Path) -> list[str]:
    """What is wrong with one file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    problems = []
    if path.suffix in SOURCE:
        if not re.fullmatch(r"[a-z0-9_]+", path.stem):
            problems.append("its name is not snake_case")
        if (lines := text.count("\n")) > MAX_LINES:
            problems.append(f"has {lines} lines, more than {MAX_LINES}: split it")
    if path.suffix == ".hpp" and "#pragma once" not in text:
        problems.append("has no #pragma once")
    if path.suffix == ".md":
        problems += check_links(path, text)
    if path != Path(__file__).resolve():
        problems += [f"holds the path of a machine: {found}" for found in MACHINE_PATH.findall(text)]
    return [f"{path.relative_to(ROOT)}: {problem}" for problem in problems]


def main() -> int:
    """Check every tracked file."""
    files = tracked_files()
    problems = [problem for path in files for problem in check(path)]
    print("\n".join(problems) if problems else f"files: {len(files)} files are in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
