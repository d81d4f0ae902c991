"""Runs ExecuTorch's own tests, unmodified, against this backend, and counts what came of them.

samsung: the tests of upstream's Exynos backend (executorch/backends/samsung/test).
operators, models: the cross-backend suite (executorch/backends/test/suite), in our flows and XNNPACK's.
"""

import argparse
import collections
import json
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest  # noqa: E402

import executorch.backends  # noqa: E402

BACKENDS = Path(next(iter(executorch.backends.__path__)))
RECORD = FOLDER.parents[1] / "docs" / "upstream_tests.json"

SETS = {
    "samsung": ("stand_ins", "samsung/test", ["samsung/test/ops", "samsung/test/models"]),
    "operators": ("flows", "test/suite", ["test/suite/operators"]),
    "models": ("flows", "test/suite", ["test/suite/models"]),
}


def name_of(item: pytest.Item) -> str:
    return item.nodeid.split("site-packages/")[-1]


class Recorder:
    """One row per test: which flow, what came of it, why.

    With a journal, rows are lines of JSON in it as they come, and tests that have one are not run again.
    """

    def __init__(self, journal: Path | None) -> None:
        self.journal = journal
        self.rows: list[dict[str, str]] = []
        if journal is not None and journal.exists():
            # The last line is cut when the run was.
            lines = journal.read_text().splitlines(keepends=True)
            self.rows = [json.loads(line) for line in lines if line.endswith("\n")]
            journal.write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        done = {row["test"] for row in self.rows}
        items[:] = [item for item in items if name_of(item) not in done]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo):
        report = yield
        if call.when == "call" or (report.outcome != "passed" and call.when == "setup"):
            self.rows.append({"test": name_of(item), **self._outcome(item, report)})
            if self.journal is not None:
                with self.journal.open("a") as file:
                    file.write(json.dumps(self.rows[-1]) + "\n")
        return report

    @staticmethod
    def _outcome(item: pytest.Item, report: pytest.TestReport) -> dict[str, str]:
        error = "" if report.passed else ["", *str(report.longrepr).strip().splitlines()][-1]
        runner = getattr(item, "funcargs", {}).get("test_runner")
        if runner is None:
            return {"flow": "enn", "result": report.outcome, "error": error}
        results = [entry.result.display_name() for entry in runner._results]
        # A test that ends between two calls of its runner, by the suite's time limit, has results of the first only.
        worst = next((name for name in results if name.startswith("Fail")), None)
        if worst is None:
            worst = report.outcome if report.failed or not results else results[-1]
        error = next((str(entry.error) for entry in runner._results if entry.error), error)
        return {"flow": runner._flow.name, "result": worst, "error": error[:400]}


def counts(rows: list[dict[str, str]]) -> dict[str, dict[str, int]]:
    flows = sorted({row["flow"] for row in rows})
    return {flow: dict(collections.Counter(row["result"] for row in rows if row["flow"] == flow)) for flow in flows}


def run(name: str, arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    plugin, root, folders = SETS[name]
    recorder = Recorder(arguments.journal)
    options = [
        "-q",
        "-p",
        plugin,
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(BACKENDS / root),
        "--tb=no",
        "-W",
        "ignore",
    ]
    if arguments.select:
        options += ["-k", arguments.select]
    pytest.main(options + [str(BACKENDS / folder) for folder in folders], plugins=[recorder])
    for row in recorder.rows:
        if row["result"].startswith(("Fail", "failed")) and row["flow"].startswith("enn"):
            print(f"{row['result']}: {row['test']}: {row['error'].splitlines()[0] if row['error'] else ''}")
    return counts(recorder.rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("-k", dest="select", help="only the tests that match, as pytest's -k")
    parser.add_argument(
        "--journal", type=Path, help="write what came of each test to this file; tests that are in it are not run again"
    )
    parser.add_argument("--record", action="store_true", help=f"write the counts to docs/{RECORD.name}")
    arguments = parser.parse_args()
    result = run(arguments.set, arguments)
    print(json.dumps(result, indent=2))
    if arguments.record:
        record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        RECORD.write_text(json.dumps(record | {arguments.set: result}, indent=2) + "\n")
    failed = sum(
        n
        for flow, kinds in result.items()
        if flow.startswith("enn")
        for kind, n in kinds.items()
        if kind.lower().startswith("fail")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
