"""`crawler export`: the pages of a crawl in the formats that other tools read."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from crawler.archive.filters import PageFilter, UrlFilter, parse_statuses
from crawler.archive.partitions import PART
from crawler.archive.search import checked_language
from crawler.archive.selection import PARTED_BY
from crawler.archive.stored_pages import PageReader, open_pages
from crawler.cli.database import ConfigFile, DatabasePlace
from crawler.cli.rows import OnHost, UrlGlob
from crawler.cli.usage import nearest
from crawler.config import DEFAULT_DB
from crawler.content.markdown import Content
from crawler.errors import UsageError
from crawler.location import DatabaseUrl, Location
from crawler.output.exports.bar import bar, partition_bar
from crawler.output.exports.columns import COLUMNS, chosen_columns
from crawler.output.exports.export import Export, ExportOptions
from crawler.output.exports.formats import FORMATS, ExportFormat
from crawler.output.exports.target import FLAG, Target
from crawler.output.figures import amount, counted, rate, span
from crawler.output.files import check_writable, write_file
from crawler.quantities import Age
from crawler.statically_frozen import dataclass
from crawler.storage.location import database_at
from crawler.urls import normalize

_STDOUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What the user wants."""

    form: ExportFormat
    target: Target
    options: ExportOptions
    pages: PageFilter
    since: str | None
    cursor_file: Path | None


def _moment(given: str) -> float:
    """Unix seconds of 7d ago, or of 2026-11-01 (local time). Raises `ValueError`."""
    try:
        return datetime.fromisoformat(given.strip()).timestamp()
    except ValueError:
        try:
            return time.time() - float(Age(unit="d").parse(given))
        except ValueError:
            raise ValueError(f"takes an age such as 7d, or a time such as 2026-11-01, not {given[:60]!r}") from None


def export(
    form: Annotated[
        str | None,
        typer.Argument(
            metavar="FORMAT",
            help="What to write, such as jsonl or parquet; without it, all formats.",
            show_default=False,
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Where to; for some formats a folder. - is standard output."),
    ] = _STDOUT,
    db: DatabasePlace = DEFAULT_DB,
    config_file: ConfigFile = None,
    host: OnHost = None,
    url: UrlGlob = None,
    run: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only pages that run N stored, as it stored them.")
    ] = None,
    changed_since: Annotated[
        float | None,
        typer.Option(
            "--changed-since",
            metavar="AGE|TIME",
            parser=_moment,
            help="Only pages that are new or have changed since then: 7d, or 2026-11-01.",
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Only pages with such a status: fetched,gone, or 200. By default, all that are there.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--lang", metavar="TAG", help="Only pages that declare this language: de, or pt-BR; pt is both."),
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="SQL",
            help="Only pages for which this holds: 'depth < 3 AND bytes > 1000'; see the manual.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="What to write of a page: url,title,text; or +html,-links to change what is usual.",
            autocompletion=lambda: list(COLUMNS),
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Parquet only: part the rows into folders, by host,date for example."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --by part, of PostgreSQL: write so many partitions at a time."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Sitemap only: the folder in which its files will be served."),
    ] = None,
    content: Annotated[
        Content | None,
        typer.Option(metavar="main|all", help="Markdown only: the main content of a page (default), or all of it."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR",
            help="Only what has changed after that, and what went: a cursor of an earlier export, or of changes.",
        ),
    ] = None,
    cursor: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the cursor in FILE: go on from the one that it holds, if it is there, and leave the next one.",
        ),
    ] = None,
) -> None:
    """Write the pages of a crawl for other tools: JSON lines, CSV, Parquet, text, Markdown and more.

    By default, all current pages. A file takes its place once it is whole.
    """
    if form is None:
        _list_formats()
        return
    chosen = _format(form)
    if cursor is not None and since is None:
        since = _kept_cursor(cursor)
    pages = PageFilter(
        urls=UrlFilter(host=host, glob=url),
        run=run,
        changed_since=changed_since,
        statuses=parse_statuses(status) if status is not None else (),
        language=checked_language(language) if language is not None else None,
        where=condition,
    )
    options = ExportOptions(
        columns=_columns(chosen, columns),
        by=_partitions(chosen, by),
        base_url=_base(chosen, base_url),
        suffix=chosen.suffix,
        content=_content(chosen, content),
    )
    target = _target(chosen, file, db, is_parted=by is not None)
    task = _Task(form=chosen, target=target, options=options, pages=pages, since=since, cursor_file=cursor)
    _check(task)
    if PART in options.by:
        asyncio.run(_export_partitions(db, task, processes or os.cpu_count() or 1))
        return
    if processes is not None:
        raise UsageError("--processes goes with --by part; leave it out, or add --by part")
    asyncio.run(_export(db, task))


def _format(word: str) -> ExportFormat:
    name = word.strip().lower()
    if name in FORMATS:
        return FORMATS[name]
    near = nearest(name, FORMATS)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(FORMATS)}"
    raise UsageError(f"there is no format {word!r}; {hint}")


def _list_formats() -> None:
    for one in FORMATS.values():
        typer.echo(f"{one.name:10}{one.summary}")


def _kept_cursor(file: Path) -> str | None:
    """None: there is none yet, and all is to be written."""
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--cursor {file}: {getattr(error, 'strerror', None) or 'is no file with a cursor'}"
        ) from error


def _columns(form: ExportFormat, given: str | None) -> tuple[str, ...]:
    if form.columns:
        return chosen_columns(given, form.columns)
    if given is not None:
        raise UsageError(f"{form.name} has no columns; leave out --columns")
    return ()


def _partitions(form: ExportFormat, given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if not form.has_folders:
        raise UsageError(f"--by is for parquet; leave it out for {form.name}")
    names = tuple(dict.fromkeys(filter(None, (one.strip() for one in given.split(",")))))
    if names == (PART,):
        return names
    for name in names or ("",):
        if name not in PARTED_BY:
            raise UsageError(f"--by takes {', '.join(PARTED_BY)}, with commas between, not {name!r}")
    return names


def _base(form: ExportFormat, given: str | None) -> str | None:
    if given is None:
        return None
    if form.name != "sitemap":
        raise UsageError(f"--base-url is for sitemap; leave it out for {form.name}")
    url = normalize(given)
    if url is None or "?" in url:
        raise UsageError(f"--base-url takes the http(s) URL of a folder, such as https://example.com/, not {given!r}")
    return url if url.endswith("/") else f"{url}/"


def _content(form: ExportFormat, given: Content | None) -> Content:
    if given is not None and form.name != "markdown":
        raise UsageError(f"--content is for markdown; leave it out for {form.name}")
    return given or Content.MAIN


def _target(form: ExportFormat, file: str, db: Location, *, is_parted: bool) -> Target:
    """Raises `UsageError` where nothing of that format can be written there."""
    if file == _STDOUT:
        if is_parted:
            raise UsageError("--by needs a folder to write to; name one")
        if form.is_binary and sys.stdout.isatty():
            raise UsageError(f"{form.name} is nothing for a terminal; name a file")
        return Target()
    path = Path(file)
    places = {os.path.realpath(one) for one in database_at(db).files()} if isinstance(db, Path) else set()
    if os.path.realpath(path) in places:
        raise UsageError(f"{FLAG} {path} belongs to the database; name another file")
    is_document = bool(form.suffix) and (path.is_dir() or form.suffix not in path.suffixes)
    if is_parted or is_document:
        return Target(path=path, is_folder=True)
    check_writable(FLAG, path)
    return Target(path=path)


def _check(task: _Task) -> None:
    """Raise `UsageError` for what cannot be combined; where a cursor is kept, on the first night already."""
    if PART in task.options.by and (task.since is not None or task.cursor_file is not None):
        raise UsageError("--by part writes only partitions that have changed; leave out --since and --cursor")
    if task.options.by and set(task.options.columns) <= set(task.options.by):
        raise UsageError("--columns has nothing but what --by parts the rows by; add another column, such as url")
    if task.cursor_file is not None:
        check_writable("--cursor", task.cursor_file)
        if task.target.path is not None and os.path.realpath(task.cursor_file) == os.path.realpath(task.target.path):
            raise UsageError(f"--cursor {task.cursor_file} is also {FLAG}; name another file")
    if task.since is not None or task.cursor_file is not None:
        _check_increment(task, "--since" if task.cursor_file is None else "--cursor")


def _check_increment(task: _Task, given: str) -> None:
    if task.pages.run is not None or task.pages.changed_since is not None:
        raise UsageError(f"{given} says what is exported; it cannot be combined with --run or --changed-since")
    if not (task.form.has_removals or (task.target.is_folder and task.form.suffix)):
        where = " in one file; name a folder" if task.form.suffix else "; export all of it, or jsonl"
        raise UsageError(f"{task.form.name} cannot say which pages went, as {given} needs{where}")
    if task.options.by and "host" not in task.options.by:
        raise UsageError(f"{given} brings up to date what is parted by host; add it to --by, or export all of it")
    if task.options.columns and "url" not in task.options.columns:
        raise UsageError(f"{given} tells of pages by their URLs; add url to --columns")


def _may_go_on(task: _Task) -> bool:
    try:
        _check_increment(task, "--since")
    except UsageError:
        return False
    return True


async def _export_partitions(db: Location, task: _Task, processes: int) -> None:
    """Raises `UsageError` where there are no partitions, or what is wanted is not one file for each of them."""
    if not isinstance(db, DatabaseUrl):
        raise UsageError("--by part is for a crawl in PostgreSQL; a file is parted by host or date, say")
    from crawler.output.exports.partitions import PartitionsExport, write_partitions

    began, columns = time.monotonic(), tuple(name for name in task.options.columns if name != PART)
    wanted = PartitionsExport(db=db, folder=task.target.folder, pages=task.pages, columns=columns, processes=processes)
    with partition_bar(is_watched=_is_watched(task.target)) as tell:
        done = await write_partitions(wanted, tell)
    kept = f"; {counted(done.kept, 'partition')} had not changed" if done.kept else ""
    elapsed_s = time.monotonic() - began
    typer.echo(
        f"wrote {task.target.path}: {counted(done.pages, 'page')} of {counted(done.partitions, 'partition')},"
        f" in {span(elapsed_s)}{kept}"
    )


async def _export(db: Location, task: _Task) -> None:
    write, began = task.form.load(), time.monotonic()
    async with open_pages(db, task.pages, task.since, whole_hosts=bool(task.options.by)) as reader:
        with bar(await _total(reader, task.target)) as tell:
            async with Export(reader, task.target, task.options, tell, _notify) as export:
                await write(export)
    _flush(task.target)
    if task.cursor_file is not None:
        write_file("--cursor", task.cursor_file, f"{reader.cursor}\n".encode())
    _tell(task, export, time.monotonic() - began)


def _notify(message: str) -> None:
    typer.echo(message, err=True)


def _flush(target: Target) -> None:
    """What nobody could take must not be called done, nor the cursor moved behind it."""
    if target.path is None:
        sys.stdout.flush()


async def _total(reader: PageReader, target: Target) -> int | None:
    """None where nobody looks."""
    return await reader.count() if _is_watched(target) else None


def _is_watched(target: Target) -> bool:
    return sys.stderr.isatty() and not target.is_terminal


def _tell(task: _Task, export: Export, elapsed_s: float) -> None:
    """On standard error where standard output has the pages."""
    to_stdout = task.target.path is None
    if to_stdout and not sys.stderr.isatty() and task.since is None and not export.left_out:
        return
    done = f"{counted(export.written, 'page')}"
    if export.is_increment:
        done += f", {amount(export.taken_away)} removed"
    for why, number in export.left_out.items():
        done += f", {amount(number)} left out: {why}"
    speed = rate(export.written / elapsed_s) if elapsed_s else ""
    typer.echo(
        f"wrote {_STDOUT if to_stdout else task.target.path}: {done}, in {span(elapsed_s)} ({speed})", err=to_stdout
    )
    if task.cursor_file is None and (export.is_increment or not to_stdout) and _may_go_on(task):
        typer.echo(f"next: --since {export.reader.cursor}", err=to_stdout)
