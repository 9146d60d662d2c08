"""What a search has found: for a terminal, with the words highlighted; as rows elsewhere.

Invariant: titles and excerpts are text from the web, and can do nothing in a terminal (safe_text.py).
"""

from __future__ import annotations

import json
from itertools import chain, pairwise

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from crawler.archive.answers import Excerpt, SearchResults
from crawler.output.safe_text import printable
from crawler.output.tables import Format, Kind, column, write_rows

_MARK = "bold yellow"
_INDENT = (0, 0, 0, 2)
_COLUMNS = [
    column("url"),
    column("title"),
    column("snippet"),
    column("language", in_table=False),
    column("score", Kind.NUMBER, in_table=False),
    column("title_marks", Kind.JSON, in_table=False),
    column("snippet_marks", Kind.JSON, in_table=False),
]


def print_hits(results: SearchResults) -> None:
    """For a person: title, URL and excerpt of each, the best first."""
    console = Console(highlight=False)
    for hit in results.hits:
        title = _highlighted(hit.title) if hit.title.text.strip() else Text("(no title)", style="dim")
        title.stylize("bold")
        console.print(title)
        console.print(Text(f"  {printable(hit.url)}", style="cyan"), soft_wrap=True)  # to be copied in one piece
        console.print(Padding(_highlighted(hit.snippet), _INDENT, expand=False))
        console.print()


async def write_hits(results: SearchResults, form: Format) -> None:
    """As rows; `title_marks` and `snippet_marks` say where the words stand, from and up to."""
    await write_rows(
        _COLUMNS,
        (
            (
                hit.url, hit.title.text, hit.snippet.text, hit.language, round(hit.score, 3),
                json.dumps(hit.title.marks), json.dumps(hit.snippet.marks),
            )
            for hit in results.hits
        ),
        form,
    )  # fmt: skip


def _highlighted(excerpt: Excerpt) -> Text:
    """Piece by piece, since what makes a text harmless moves its characters."""
    text, places = Text(), [0, *chain.from_iterable(excerpt.marks), len(excerpt.text)]
    for number, (begin, end) in enumerate(pairwise(places)):
        text.append(_harmless(excerpt.text[begin:end]), style=_MARK if number % 2 else "")
    return text


def _harmless(piece: str) -> str:
    """Without what only a whole line needs: the space at its ends stays."""
    shown = printable(piece)
    before = " " if piece[:1].isspace() else ""
    return f"{before}{shown} " if shown and piece[-1:].isspace() else before + shown
