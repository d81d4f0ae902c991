"""Operators that reduce dimensions."""

from operator_cases.case import Call, Case

CASES: dict[str, Case] = {
    "mean": Case(("mean",), lambda: Call(lambda x: x.mean((2, 3))), ((512, 2048, 4, 4),)),
}
