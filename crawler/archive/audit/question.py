"""What a question of an audit is, and the columns that many have."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.archive.audit.model import Column, Kind, Severity
from crawler.statically_frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a question needs: a query with a row. `unless`: why there is no answer if it has none."""

    query: str
    unless: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question to a view.

    `view` is queried where `where` holds, in the `order` that puts first what matters most. A finding is the same as
    one of another day where the columns of `key` have the same values. `listed_by` is the view that `crawler list`
    prints, if it is another one. Without one of its `needs` it is not answered. `has_sources`: the first column is a
    URL to which pages lead that the report names, the last one how many links do.
    """

    name: str
    chapter: str
    title: str
    explanation: str
    severity: Severity
    view: str
    columns: Sequence[Column]
    key: Sequence[str]
    order: str
    where: str = "TRUE"
    listed_by: str = ""
    has_sources: bool = False
    needs: Sequence[Need] = ()


URL = Column(name="url", title="Page", kind=Kind.URL)
TITLE = Column(name="title", title="Title")
DEPTH = Column(name="depth", title="Depth", kind=Kind.COUNT)
REASON = Column(name="reason", title="Reason")
PROBLEM = Column(name="problem", title="Problem")
CAUSE = Column(name="cause", title="Cause")
