#!/usr/bin/env python3
"""Runs clang-tidy on the sources of a compilation database, several at a time.

Tests and benchmarks are left to the compilers' warnings. A source that was clean is skipped while it, every project
header that it includes, its compiler flags and .clang-tidy stay the same. Sources of a target with the same flags are
checked together, as if one file included them: most of the time goes into the headers that they share. Where that
does not compile (two of them have an anonymous name in common), the halves are checked on their own.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUP = 16  # sources that are checked together, at most
ALONE = re.compile(r"^tools/|/x86_[^/]*$")  # sources that give the same names to different things
# Findings in our headers, as .clang-tidy says, and in the sources that a group's file includes.
FINDINGS = r"(/(src|include|python/bindings)/[^.]*\.hpp|/(src|tools|python/bindings|tests)/[^.]*\.cpp)$"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+["<]([^">]+)[">]', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of the database: where it lies, and how it is compiled."""

    path: Path
    directory: Path
    target: str
    flags: tuple[str, ...]
    stamp: Path


@functools.cache
def includes(path: Path) -> tuple[str, ...]:
    """What a file includes, under any condition."""
    return tuple(INCLUDE.findall(path.read_text(encoding="utf-8")))


@functools.cache
def digest_of(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def project_files(source: Path, folders: list[Path]) -> set[Path]:
    """The source and all that it includes of the project and of what the build generates."""
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in includes(path):
            for folder in (path.parent, *folders):
                candidate = Path(os.path.normpath(folder / name))
                if candidate.is_file():
                    waiting.append(candidate)
                    break
    return found


def source_of(entry: dict[str, str], version: str, done: Path) -> Source:
    """An entry of the database, with a digest of all that decides what clang-tidy says about it."""
    directory = Path(entry["directory"])
    flags: list[str] = []
    folders = []
    skip = False
    for argument in shlex.split(entry["command"]):
        # -Xclang passes a precompiled header, which nobody builds for this.
        if skip or argument in ("-c", "-MD", "-Winvalid-pch", entry["file"]):
            skip = False
        elif argument in ("-o", "-MF", "-MT", "-Xclang"):
            skip = True
        else:
            # What the build generates lies in a system folder, so that its warnings are left out.
            named = argument if flags and flags[-1] == "-isystem" else argument[2:] if argument[:2] == "-I" else None
            if named is not None and (directory / named).is_relative_to(ROOT) and ".venv" not in Path(named).parts:
                folders.append(directory / named)
            flags.append(argument)
    path = Path(entry["file"])
    digest = hashlib.sha256(version.encode() + shlex.join(flags).encode() + digest_of(ROOT / ".clang-tidy"))
    for file in sorted(project_files(path, folders)):
        digest.update(digest_of(file))
    # The object of src/ir/graph.cpp: src/ir/CMakeFiles/enn_ir.dir/graph.cpp.o
    target = entry["output"].partition(".dir/")[0]
    return Source(path, directory, target, tuple(flags), done / digest.hexdigest())


def check(sources: list[Source], tidy: str) -> list[tuple[str, str]]:
    """Run clang-tidy on sources together; the findings of each run that had some, with the names of its sources."""
    names = ", ".join(str(source.path.relative_to(ROOT)) for source in sources)
    folder = sources[0].stamp.parent / f"group-{sources[0].stamp.name[:16]}-{len(sources)}"
    folder.mkdir(exist_ok=True)
    file = sources[0].path
    if len(sources) > 1:
        file = folder / "together.cpp"
        file.write_text("".join(f'#include "{source.path}"\n' for source in sources), encoding="utf-8")
    command = shlex.join([*sources[0].flags, "-c", str(file)])
    entry = {"directory": str(sources[0].directory), "file": str(file), "command": command}
    (folder / "compile_commands.json").write_text(json.dumps([entry]), encoding="utf-8")
    options = [
        "--quiet",
        "--warnings-as-errors=*",
        f"--config-file={ROOT / '.clang-tidy'}",
        f"--header-filter={FINDINGS}",
    ]
    result = subprocess.run([tidy, "-p", str(folder), *options, str(file)], capture_output=True, text=True, check=False)
    if result.returncode == 0:
        for source in sources:
            source.stamp.touch()
        return []
    if len(sources) > 1:
        # Findings are reported once, by the smallest group that has them.
        half = len(sources) // 2
        return check(sources[:half], tidy) + check(sources[half:], tidy)
    return [(names, result.stdout or result.stderr)]


def wanted(source: Path, build: Path) -> bool:
    """Whether a source of the database is ours, written by hand and no test or benchmark."""
    ours = source.is_relative_to(ROOT) and not source.is_relative_to(build.resolve())
    return ours and ".venv" not in source.parts and not re.search(r"(^|_)(tests?|bench|fuzzer)(_|$)", source.stem)


def groups_of(sources: list[Source]) -> list[list[Source]]:
    """Sources of a target with the same flags, in the order in which CMake compiles them together; largest first."""
    alike: dict[tuple[str, ...], list[Source]] = {}
    for source in sources:
        alike.setdefault((source.target, *source.flags), []).append(source)
    groups = []
    for members in alike.values():
        alone = ALONE.search(str(members[0].path.relative_to(ROOT)))
        size = 1 if alone else GROUP
        groups += [members[i : i + size] for i in range(0, len(members), size)]
    return sorted(groups, key=len, reverse=True)


def main() -> int:
    """Check every source of the database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="folder with compile_commands.json")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tidy", default="clang-tidy-19")
    arguments = parser.parse_args()

    database = json.loads((arguments.build / "compile_commands.json").read_text(encoding="utf-8"))
    entries = {entry["file"]: entry for entry in database if wanted(Path(entry["file"]), arguments.build)}
    version = subprocess.run([arguments.tidy, "--version"], capture_output=True, text=True, check=True).stdout
    done = (arguments.build / "clang_tidy").resolve()
    done.mkdir(exist_ok=True)

    start = time.monotonic()
    sources = [source_of(entry, version, done) for entry in entries.values()]
    changed = [source for source in sources if not source.stamp.exists()]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(check, group, arguments.tidy) for group in groups_of(changed)]
        for job in concurrent.futures.as_completed(jobs):
            for names, output in job.result():
                failed.append(names)
                print(output.strip(), flush=True)
    if failed:
        print(f"clang-tidy: findings in {', '.join(sorted(failed))}")
        return 1
    print(
        f"clang-tidy: {len(sources)} sources are clean, {len(changed)} were checked ({time.monotonic() - start:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
