"""The table of promises stays true: every test that it names exists, and every hostile test is in it."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")


def test_every_test_in_the_table_exists() -> None:
    named = NAMED.findall((HERE / "README.md").read_text())
    assert len(named) > 30
    for file, name in named:
        assert re.search(rf"def {name}\(", (HERE.parent / file).read_text()), f"{file}::{name}"


def test_every_hostile_test_is_in_the_table() -> None:
    named = set(NAMED.findall((HERE / "README.md").read_text()))
    for path in sorted(HERE.glob("test_*.py")):
        if path.name != Path(__file__).name:
            for name in re.findall(r"def (test_\w+)\(", path.read_text()):
                assert (f"hostile/{path.name}", name) in named, name
