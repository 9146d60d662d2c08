"""The statements that a server has really executed, as its own log tells them, to have their plans explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres.sql import tried

LOGGING = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": "..",
    "log_filename": "statements",  # which .json is added to
    "log_min_duration_statement": "0",
}
_EXECUTED = re.compile(r"duration: [\d.]+ ms\s+execute [^:]+: ")
_PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")


@dataclass(frozen=True, slots=True)
class Node:
    """A step of a plan that reads a table. `runs`: how often it did; 0: not at all."""

    kind: str
    table: str
    is_looked_up: bool  # by a condition on its index: all lead with `part`, but that of the few seeds
    runs: int


@dataclass(frozen=True, slots=True)
class Statement:
    """As it was sent, with values in place of its parameters."""

    text: str
    with_values: str


def executed(log: Path, application: str, after: int) -> Iterator[Statement]:
    """What sessions of that name have executed, in their order, as the log says after so many characters."""
    for line in log.read_text(encoding="utf-8")[after:].splitlines():
        entry = json.loads(line)
        found = _EXECUTED.match(entry.get("message", ""))
        if found and entry.get("application_name", "").startswith(application):
            text = entry["message"][found.end() :]
            if "pg_catalog" in text or "current_setting" in text:
                continue  # what the driver asks about types
            yield Statement(text, _with_values(text, dict(_PARAMETER.findall(entry.get("detail", "")))))


def _with_values(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\d+)", lambda number: values[number[1]], text)


def explained(url: str, statement: Statement, settings: Mapping[str, str]) -> list[Node]:
    """What its plan reads, when it is executed in that database; it changes nothing there."""
    asked = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.with_values}"
    [[(plan,)]] = tried(url, [asked], settings)
    return list(_reads(json.loads(plan)[0]["Plan"]))


def _reads(plan: dict[str, Any]) -> Iterator[Node]:
    if "Relation Name" in plan and plan["Node Type"].endswith("Scan"):
        condition = plan.get("Index Cond") or plan.get("Recheck Cond", "")
        is_looked_up = "part" in condition or plan.get("Index Name") == "urls_seeds"
        yield Node(plan["Node Type"], plan["Relation Name"], is_looked_up, plan["Actual Loops"])
    for inner in plan.get("Plans", ()):
        yield from _reads(inner)
