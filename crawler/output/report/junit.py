"""An audit as JUnit XML, which every CI system shows: a suite a section, a case a row.

A row fails its case if its section is one that the caller fails on; otherwise the case passes and says what was found.
What a baseline has is skipped. A section without rows is one case that passes.
"""

from __future__ import annotations

from collections.abc import Collection
from xml.etree import ElementTree as ET

from crawler.archive.audit.model import Audit, Kind, Row, Section
from crawler.output.figures import amount, counted
from crawler.output.report.cells import cell, rest


def as_junit(audit: Audit, failing: Collection[str]) -> str:
    """The document; `failing` are the names of the sections whose rows are failures."""
    root = ET.Element("testsuites", name="crawler report")
    totals = [0, 0]
    for section in audit.sections:
        suite = _suite(section, is_failing=section.name in failing)
        root.append(suite)
        totals[0] += int(suite.get("tests", "0"))
        totals[1] += int(suite.get("failures", "0"))
    root.set("tests", str(totals[0]))
    root.set("failures", str(totals[1]))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(section: Section, *, is_failing: bool) -> ET.Element:
    suite = ET.Element("testsuite", name=section.name)
    for row in section.rows:
        _case(suite, section, row, is_failing=is_failing)
    if left_out := section.total - len(section.rows):
        case = ET.SubElement(suite, "testcase", classname=section.name, name=f"{amount(left_out)} more")
        if is_failing and (section.new is None or section.new > len(section.rows)):
            ET.SubElement(case, "failure", message=rest(section, len(section.rows)))
        else:
            ET.SubElement(case, "system-out").text = rest(section, len(section.rows))
    if not section.total:
        case = ET.SubElement(suite, "testcase", classname=section.name, name=section.title)
        if section.unknown is not None:
            ET.SubElement(case, "skipped", message=section.unknown)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def _case(suite: ET.Element, section: Section, row: Row, *, is_failing: bool) -> None:
    values = {
        column.name: (column.title, cell(value, column.kind))
        for column, value in zip(section.columns, row.values, strict=True)
    }
    name = " ".join(values[key][1] for key in section.key if values[key][1])
    case = ET.SubElement(suite, "testcase", classname=section.name, name=name)
    told = [f"{title}: {text}" for key, (title, text) in values.items() if text and key not in section.key]
    message = "; ".join([section.title, *told])
    if not is_failing:
        ET.SubElement(case, "system-out").text = _in_full(message, row)
    elif row.is_new is False:
        ET.SubElement(case, "skipped", message=f"known: {message}")
    else:
        ET.SubElement(case, "failure", message=message).text = _in_full(message, row)


def _in_full(message: str, row: Row) -> str:
    lines = [message]
    for one in row.sources:
        anchor = f" ({cell(one.anchor, Kind.TEXT)})" if one.anchor else ""
        lines.append(f"{one.kind} on {cell(one.page_url, Kind.URL)}{anchor}")
    if (more := row.sources_total - len(row.sources)) > 0:
        lines.append(f"and {counted(more, 'more link', 'more links')}")
    return "\n".join(lines)
