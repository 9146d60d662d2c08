"""`crawler help`: the manual, offline.

A topic is a Markdown file in `crawler/manual`: a title, an empty line, then one line that says what the topic covers.
On a terminal it is rendered and paged; elsewhere it is printed as it is.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.resources import files
from typing import Annotated

import typer

from crawler.cli.usage import nearest
from crawler.errors import UsageError

_MAX_WIDTH = 100  # columns; longer lines are hard to read
_RELATIVE_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")  # of no use on a terminal


def show_help(
    context: typer.Context,
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="TOPIC",
            help="A topic of the manual, or a command.",
            show_default=False,
            autocompletion=lambda: list(_topics()),
        ),
    ] = None,
) -> None:
    """Show the manual: the list of topics, or one TOPIC."""
    topics = _topics()
    commands = context.find_root().command.commands  # type: ignore[attr-defined]
    if topic is None:
        typer.echo(_listed(topics))
    elif topic in topics:
        _show(topics[topic])
    elif topic in commands:
        commands[topic].make_context(topic, ["--help"], parent=context.find_root())
    else:
        near = nearest(topic.lower(), [*topics, *commands])
        hint = f"did you mean {near}?" if near is not None else "`crawler help` lists the topics"
        raise UsageError(f"no help topic {topic!r}; {hint}")


def _topics() -> dict[str, str]:
    """The text of each topic, by name."""
    pages = [page for page in files("crawler").joinpath("manual").iterdir() if page.name.endswith(".md")]
    return {page.name.removesuffix(".md"): page.read_text(encoding="utf-8") for page in sorted(pages, key=str)}


def _listed(topics: dict[str, str]) -> str:
    width = max(map(len, topics))
    lines = [f"  {name:{width}}  {text.splitlines()[2]}" for name, text in topics.items()]
    return "\n".join(
        ["Topics (crawler help TOPIC):", "", *lines, "", "For a command's options: crawler COMMAND --help"]
    )


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    os.environ.setdefault("LESS", "FRX")  # as git does: keep colours, and do not page what fits on the screen
    console = Console(theme=Theme({"markdown.code": "bold cyan"}))  # no background: a terminal may be dark or light
    page = Markdown(_RELATIVE_LINK.sub(r"\1", text), code_theme="ansi_dark", hyperlinks=False)
    with console.pager(styles=True):
        console.print(page, width=min(console.width, _MAX_WIDTH))
