"""An audit as JSON, exactly as it is; a later report takes it as its baseline.

Invariant: ASCII, so that no terminal obeys what a crawled text says; `FORMAT` counts changes that break readers.
"""

from __future__ import annotations

import json
from typing import Any

from crawler.archive.audit.model import Audit, Row, Section

FORMAT = 1


def as_json(audit: Audit) -> str:
    """One object, indented."""
    data = {
        "format": FORMAT,
        "database": audit.db,
        "sites": audit.sites,
        "made_at": audit.made_at,
        "running": audit.running,
        "figures": {one.name: one.value for one in audit.figures},
        "charts": [{"name": one.name, "title": one.title, "points": one.points} for one in audit.charts],
        "sections": [_section(one) for one in audit.sections],
    }
    return json.dumps(data, indent=1) + "\n"


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "chapter": section.chapter,
        "title": section.title,
        "explanation": section.explanation,
        "severity": section.severity,
        "view": section.view,
        "key": section.key,
        "unknown": section.unknown,
        "total": section.total,
        "new": section.new,
        "rows": [_row(section, row) for row in section.rows],
    }


def _row(section: Section, row: Row) -> dict[str, Any]:
    data = {column.name: value for column, value in zip(section.columns, row.values, strict=True)}
    if row.sources:
        data["sources"] = [{"page_url": one.page_url, "anchor": one.anchor, "kind": one.kind} for one in row.sources]
    if row.is_new is not None:
        data["is_new"] = row.is_new
    return data
