"""`crawler report`: what a crawl found, as a page for people, or as data for programs and CI."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from crawler.archive.audit.baseline import read_baseline
from crawler.archive.audit.model import Audit, Severity
from crawler.archive.audit.questions import QUESTIONS
from crawler.archive.audit.reading import Extent, read_audit
from crawler.cli.database import ConfigFile, DatabasePath
from crawler.cli.usage import nearest
from crawler.config import DEFAULT_DB
from crawler.errors import UsageError
from crawler.output.figures import amount, size
from crawler.output.files import check_writable, write_file
from crawler.storage.location import database_at

_PATIENCE_S = 1.0
FOUND = 7  # the exit status if --fail-on found something


class Format(StrEnum):
    """How a report is written."""

    HTML = "html"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"


_SUFFIXES = {Format.HTML: ".html", Format.JSON: ".json", Format.MARKDOWN: ".md", Format.JUNIT: ".xml"}
_OTHER_SUFFIXES = {".htm": Format.HTML, ".markdown": Format.MARKDOWN}
_EXTENTS = {
    Format.HTML: Extent(rows=500, sources=20),
    Format.JSON: Extent(rows=10_000, sources=1_000),
    Format.MARKDOWN: Extent(rows=50, sources=5),
    Format.JUNIT: Extent(rows=1_000, sources=20),
}
_FINDINGS = [one.name for one in QUESTIONS.values() if one.severity is not Severity.INFO]


def report(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="The report; - for standard output. By default report.html beside the database.",
            show_default=False,
        ),
    ] = None,
    db: DatabasePath = DEFAULT_DB,
    config_file: ConfigFile = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="html|json|markdown|junit",
            help="By default as FILE ends: .html, .json, .md or .xml.",
            show_default=False,
            autocompletion=lambda: list(Format),
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="At most N rows a section. By default 500 in HTML, 50 in Markdown, 1,000 in JUnit, 10,000 in JSON.",
            show_default=False,
        ),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Exit with status 7 if these sections have rows: broken-links,mixed-content; or errors, warnings.",
            autocompletion=lambda: [*_FINDINGS, "errors", "warnings"],
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --fail-on: only for rows that this report (JSON) or database does not have.",
        ),
    ] = None,
) -> None:
    """Report on a crawl: broken links with the pages that have them, faults of pages, what was left out, and charts."""
    names = _sections(fail_on) if fail_on is not None else []
    if baseline is not None and not names:
        raise UsageError("--baseline is for --fail-on; give both, such as --fail-on broken-links")
    if file is not None and file != "-":
        check_writable("FILE", Path(file))
    form = form or _format_of(file)
    target = None if file == "-" else Path(file) if file is not None else db.parent / f"report{_SUFFIXES[form]}"
    if target is not None:
        check_writable("FILE", target)
    audit = asyncio.run(_read_patiently(_read(db, _extent(form, limit), names, baseline)))
    text = _written(audit, form, names)
    if target is None:
        sys.stdout.write(text)
    else:
        data = text.encode("utf-8", "replace")
        write_file("FILE", target, data)
        typer.echo(f"wrote {target}, {size(len(data))}: {_account(audit)}")
    if found := _found(audit, names):
        typer.echo(f"crawler: --fail-on found {found}", err=True)
        raise typer.Exit(FOUND)
    if unknown := next((one for one in audit.sections if one.name in names and one.unknown), None):
        raise UsageError(f"--fail-on {unknown.name} has no answer: {unknown.unknown}")


async def _read_patiently(reading: Coroutine[Any, Any, Audit]) -> Audit:
    """Tell a person who waits, but no log, that this takes time."""
    task = asyncio.create_task(reading)
    done, _waiting = await asyncio.wait([task], timeout=_PATIENCE_S)
    if not done and sys.stderr.isatty():
        typer.echo("reading the whole crawl; a million pages take about a minute", err=True)
    return await task


async def _read(db: Path, extent: Extent, names: Sequence[str], baseline: Path | None) -> Audit:
    known = None if baseline is None else await read_baseline(baseline, names)
    running = database_at(db).is_held()
    return await read_audit(db, now=time.time(), running=running, extent=extent, known=known)


def _written(audit: Audit, form: Format, names: Sequence[str]) -> str:
    """The report; what only one format needs is imported for that one."""
    if form is Format.JSON:
        from crawler.output.report.plain_data import as_json

        return as_json(audit)
    if form is Format.MARKDOWN:
        from crawler.output.report.markdown import as_markdown

        return as_markdown(audit)
    if form is Format.JUNIT:
        from crawler.output.report.junit import as_junit

        return as_junit(audit, names or _of_severity(Severity.ERROR))
    from crawler.output.report.page import as_page

    return as_page(audit)


def _format_of(file: str | None) -> Format:
    """As the name says; HTML where there is no name. Raises `UsageError` for one that says nothing."""
    suffix = Path(file or "").suffix.lower()
    if file in (None, "-"):
        return Format.HTML
    form = next((form for form, one in _SUFFIXES.items() if one == suffix), _OTHER_SUFFIXES.get(suffix))
    if form is None:
        endings = ", ".join(_SUFFIXES.values())
        raise UsageError(f"{file} does not say which format is meant; end it with {endings}, or give --format")
    return form


def _extent(form: Format, limit: int | None) -> Extent:
    default = _EXTENTS[form]
    return default if limit is None else Extent(rows=limit, sources=default.sources)


def _sections(given: str) -> list[str]:
    """The names, without repetition. Raises `UsageError` for one that is none, and says what may have been meant."""
    names: dict[str, None] = {}
    for word in filter(None, (one.strip().lower().replace("_", "-") for one in given.split(","))):
        severity = word.removesuffix("s")
        if severity in (Severity.ERROR, Severity.WARNING, Severity.NOTICE):
            names.update(dict.fromkeys(_of_severity(Severity(severity))))
        elif word in _FINDINGS:
            names[word] = None
        else:
            near = nearest(word, _FINDINGS)
            hint = f"did you mean {near}?" if near else f"it takes errors, warnings, {', '.join(_FINDINGS)}"
            raise UsageError(f"--fail-on: a report has no findings named {word!r}; {hint}")
    if not names:
        raise UsageError("--fail-on takes names of sections, such as broken-links")
    return list(names)


def _of_severity(severity: Severity) -> list[str]:
    return [one.name for one in QUESTIONS.values() if one.severity is severity]


def _found(audit: Audit, names: Sequence[str]) -> str:
    """'broken-links 3 (1 new), mixed-content 2' of those that fail; empty if none does."""
    failing = [one for one in audit.sections if one.name in names and (one.total if one.new is None else one.new)]
    return ", ".join(
        f"{one.name} {amount(one.total)}{f' ({amount(one.new)} new)' if one.new is not None else ''}" for one in failing
    )


def _account(audit: Audit) -> str:
    from crawler.output.report.cells import verdict

    return verdict(audit)
