#!/usr/bin/env python3
"""Runs clang-tidy on the sources of a compilation database, several at a time.

Tests and benchmarks are left to the compilers' warnings. A source that was clean is skipped while it, every
project header that it includes, its compiler flags and .clang-tidy stay the same.
"""

import argparse
import concurrent.futures
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


def dependencies(command: list[str], directory: str) -> list[str]:
    """The source and the non-system headers that it includes, as the compiler lists them."""
    arguments = []
    skip = False
    for argument in command:
        if skip or argument in ("-c", "-MD"):
            skip = False
        elif argument in ("-o", "-MF", "-MT"):
            skip = True
        else:
            arguments.append(argument)
    listing = subprocess.run([*arguments, "-MM"], cwd=directory, capture_output=True, text=True, check=True)
    return shlex.split(listing.stdout.replace("\\\n", " "))[1:]


def fingerprint(entry: dict[str, str], version: str) -> str:
    """A digest of all that decides what clang-tidy says about a source."""
    command = shlex.split(entry["command"])
    digest = hashlib.sha256(version.encode() + entry["command"].encode())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    for name in dependencies(command, entry["directory"]):
        digest.update((Path(entry["directory"]) / name).read_bytes())
    return digest.hexdigest()


def check(entry: dict[str, str], tidy: str, version: str, build: Path, done: Path) -> tuple[str, str, bool]:
    """Run clang-tidy on one source: its path, the findings, whether it is clean."""
    path = str(Path(entry["file"]).relative_to(ROOT))
    try:
        stamp = done / fingerprint(entry, version)
    except subprocess.CalledProcessError as error:
        return path, error.stderr, False
    if stamp.exists():
        return path, "", True
    result = subprocess.run(
        [tidy, "-p", str(build), "--quiet", "--warnings-as-errors=*", entry["file"]],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        stamp.touch()
        return path, "", True
    return path, result.stdout or result.stderr, False


def wanted(source: Path, build: Path) -> bool:
    """Whether a source of the database is ours, written by hand and no test or benchmark."""
    ours = source.is_relative_to(ROOT) and not source.is_relative_to(build.resolve())
    return ours and ".venv" not in source.parts and not re.search(r"(^|_)(tests?|bench|fuzzer)(_|$)", source.stem)


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
    done = arguments.build / "clang_tidy"
    done.mkdir(exist_ok=True)

    start = time.monotonic()
    failed = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [
            pool.submit(check, entry, arguments.tidy, version, arguments.build, done)
            for _, entry in sorted(entries.items())
        ]
        for job in concurrent.futures.as_completed(jobs):
            path, output, clean = job.result()
            if not clean:
                failed.append(path)
                print(output.strip(), flush=True)
    if failed:
        print(f"clang-tidy: findings in {', '.join(sorted(failed))}")
        return 1
    print(f"clang-tidy: {len(entries)} sources are clean ({time.monotonic() - start:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
