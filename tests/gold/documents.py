"""Our own pages of the gold set: articles within the furniture of a dozen kinds of site.

An article begins with a comment that names its layout and title. What in it is furniture stands between two comments.
No extractor sees these comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Template

_HERE = Path(__file__).parent
_HEAD = re.compile(r"<!-- (?P<layout>\w+): (?P<title>.*?) -->\n")
_FURNITURE = re.compile(r"<!--furniture-->.*?<!--/furniture-->", re.DOTALL)
_MARKS = re.compile(r"<!--/?furniture-->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A page and its truth: `main` is the main content, as HTML where `is_markup`, else as text.

    `layout`: of our own pages, the name of that.
    """

    source: str
    name: str
    url: str
    title: str
    html: str
    main: str
    is_markup: bool
    layout: str = ""


def own_documents() -> Iterator[Document]:
    """All of them, in the order of their names."""
    for file in _articles():
        layout, title, article = _article(file)
        yield Document(
            source="own",
            name=file.stem,
            url=f"https://{layout}.example/section/{file.stem}",
            title=title,
            html=_rendered(layout, title, article),
            main=_FURNITURE.sub("", article),
            is_markup=True,
            layout=layout,
        )


def rendered_in(layout: str) -> Iterator[str]:
    """All articles in this layout, whichever is their own."""
    for file in _articles():
        _layout, title, article = _article(file)
        yield _rendered(layout, title, article)


def _articles() -> list[Path]:
    return sorted((_HERE / "articles").glob("*.html"))


def _article(file: Path) -> tuple[str, str, str]:
    """Its layout, title and text."""
    head, article = file.read_text().split("\n", 1)
    found = _HEAD.fullmatch(f"{head}\n")
    assert found, f"{file} does not begin with a layout and a title"
    return found["layout"], found["title"], article


def _rendered(layout: str, title: str, article: str) -> str:
    template = Template((_HERE / "layouts" / f"{layout}.html").read_text())
    return str(template.render(title=title, content=_MARKS.sub("", article)))
