"""What a stage decided about a model, for people and for programs."""

from typing import TYPE_CHECKING

from openenn import _core

if TYPE_CHECKING:
    from rich.table import Table


class Report:
    """Rows of decisions: str() is a table in plain text, print() of rich shows one in colour, json() is JSON."""

    def __init__(self, title: str, rows: list[_core.Explanation]) -> None:
        self.title = title
        self.rows = rows

    def json(self) -> str:
        """An array with one object for each row; fields that say nothing are left out."""
        return _core.explanations_json(self.rows)

    def __str__(self) -> str:
        return _core.explanations_table(self.rows)

    def __rich__(self) -> "Table":
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=self.title)
        for column in ("name", "operator", "decision", "how", "source"):
            table.add_column(column, overflow="fold")
        for row in self.rows:
            how = [f"{name}: {_core.in_one_line(facts)}" for name, facts in row.operands]
            how += [f"result: {_core.in_one_line(row.result)}"] if row.result else []
            how += [f"{name} {value}" for name, value in row.details]
            how += [row.reason] if row.reason else []
            how += [f"what would help: {row.advice}"] if row.advice else []
            style = "yellow" if row.advice else ""
            cells = (row.name, row.operator or row.kind, row.decision, "\n".join(how), row.source)
            table.add_row(*(escape(cell) for cell in cells), style=style)
        return table
