"""Pages of Debian's documentation packages, whose sources are their truth: reStructuredText, Markdown, AsciiDoc.

Packages are unpacked into a folder, not installed. A page is left out where its source does not have all of its text:
where that is taken from program code, or included from other files.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.gold.documents import Document
from tests.gold.scoring import text_of_html, words_score
from tests.gold.sources import text_of_asciidoc, text_of_markdown, text_of_rst

PACKAGES = (
    "debian-policy",
    "developers-reference",
    "ganeti-doc",
    "git-doc",
    "nodejs-doc",
    "python-aiohttp-doc",
    "python-attr-doc",
    "python-click-doc",
    "python-flask-doc",
    "python-jinja2-doc",
    "python-requests-doc",
    "python-sqlalchemy-doc",
    "sphinx-doc",
)
_PER_PACKAGE = 20
_MIN_WORDS = 80
_MIN_SHOWN = 0.95  # of the source's words, that the page has at all: some directives of old packages gave nothing
_NOT_ALL = re.compile(
    r"^ *(?:\.\. (?:auto\w+|include|literalinclude|jinja\w*|click\w*|changelog\w*|toctree)::|include::|ifdef::)",
    re.MULTILINE,
)


def unpack(folder: Path, packages: Sequence[str] = PACKAGES) -> None:
    """Download what is not there yet, and unpack it."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if not (folder / package).exists():
            subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
            [archive] = folder.glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, folder / package], check=True)


def package_documents(folder: Path, packages: Sequence[str] = PACKAGES) -> Iterator[Document]:
    """Pages of the packages that were unpacked there, spread evenly over each."""
    for package in packages:
        found = sorted(_pages(folder / package))
        documents = [one for one in (_document(package, *pair) for pair in found) if one is not None]
        step = max(1, len(documents) // _PER_PACKAGE)
        yield from documents[::step][:_PER_PACKAGE]


def package_pages(folder: Path, package: str) -> list[Path]:
    """All pages of a package that have a source, in the order of their names."""
    return sorted({page for page, _source in _pages(folder / package)})


def _pages(root: Path) -> Iterator[tuple[Path, Path]]:
    """Pages with their sources."""
    for page in root.rglob("*.html"):
        if "_sources" in page.parts or not page.is_file() or page.is_symlink():
            continue
        places = [page.with_suffix(".txt"), page.with_suffix(".md")]
        roots = (parent for parent in page.parents if (parent / "_sources").is_dir())
        places += (root / "_sources" / page.relative_to(root).with_suffix(".rst.txt") for root in roots)
        for place in places:
            for source in (place, place.with_name(f"{place.name}.gz")):
                if source.is_file():
                    yield page, source


def _document(package: str, page: Path, source: Path) -> Document | None:
    raw = gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()
    text = raw.decode(errors="replace")
    if _NOT_ALL.search(text):
        return None
    is_rst = "_sources" in source.parts
    read = text_of_rst if is_rst else text_of_markdown if ".md" in source.suffixes else text_of_asciidoc
    main = read(text)
    if len(main.split()) < _MIN_WORDS:
        return None
    html = page.read_text(errors="replace")
    if words_score(text_of_html(html), main, "").recall < _MIN_SHOWN:
        return None
    return Document(
        source=package,
        name=page.stem,
        url=f"https://{package}.example/{page.name}",
        title=text_of_html(html[: html.find("</title>")].rpartition("<title>")[2]),
        html=html,
        main=main,
        is_markup=False,
    )
