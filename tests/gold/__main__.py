"""Measures extractors of main content on the gold set, and prints a table (Markdown).

    python -m tests.gold                        # our own pages: seconds
    python -m tests.gold --packages FOLDER      # and Debian's documentation, downloaded into FOLDER: minutes
    python -m tests.gold --furniture --packages FOLDER      # an experiment: see `furniture`

It needs `pip install -e '.[test,bench]'`. readability-lxml wants an older chardet than the crawler does, and takes part
where it is installed without its dependencies: `pip install --no-deps readability-lxml cssselect`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.gold.documents import Document, own_documents
from tests.gold.extractors import EXTRACTORS, Extractor
from tests.gold.scoring import structure_score, text_of_html, text_of_markdown, words_score

_WARMING = 30
_HEAD = """
| {title} | precision | recall | F1 | structure F1 | pages/s |
|---|---|---|---|---|---|"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.gold", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--packages", type=Path, metavar="FOLDER", help="Debian's documentation too, unpacked there")
    parser.add_argument("--furniture", action="store_true", help="measure what furniture learnt over a host would add")
    given = parser.parse_args()
    show = _print_furniture if given.furniture else _print_tables
    show(given.packages)


def _print_tables(folder: Path | None) -> None:
    _print_table("our own pages", list(own_documents()))
    if folder is not None:
        from tests.gold.packages import package_documents, unpack

        unpack(folder)
        _print_table("Debian's documentation", list(package_documents(folder)))


def _print_furniture(folder: Path | None) -> None:
    from tests.gold.furniture import compared, hosts_of_our_own, hosts_of_packages

    print("| hosts | pages | F1 of the extractor alone | F1 without learnt furniture |\n|---|---|---|---|")
    for name, hosts in (
        ("our own", hosts_of_our_own()),
        ("Debian's documentation", hosts_of_packages(folder) if folder is not None else ()),
    ):
        alone, helped = compared(hosts)
        if alone:
            means = [f"{_mean(score.f1 for score in scores):.4f}" for scores in (alone, helped)]
            print(f"| {name} | {len(alone)} | {' | '.join(means)} |", flush=True)


def _print_table(title: str, documents: Sequence[Document]) -> None:
    print(_HEAD.format(title=f"{len(documents)} pages: {title}"))
    for extractor in EXTRACTORS:
        if all(map(_is_there, extractor.modules)):
            print(_row(extractor, documents), flush=True)


def _row(extractor: Extractor, documents: Sequence[Document]) -> str:
    words, structures, took_s = [], [], 0.0
    for document in documents[:_WARMING]:  # imports, and lists of words that some pages need
        extractor.extract(document.html, document.url)
    for document in documents:
        began = time.process_time()
        found = extractor.extract(document.html, document.url)
        took_s += time.process_time() - began
        truth = text_of_html(document.main) if document.is_markup else document.main
        text = text_of_markdown(found) if extractor.gives_markdown else found
        words.append(words_score(text, truth, document.title))
        if extractor.gives_markdown and document.is_markup:
            structures.append(structure_score(found, document.main, document.url, document.title))
    means = [f"{_mean(getattr(score, name) for score in words):.3f}" for name in ("precision", "recall", "f1")]
    structure = f"{_mean(score.f1 for score in structures):.3f}" if structures else ""
    return f"| {extractor.name} | {' | '.join(means)} | {structure} | {len(documents) / took_s:,.0f} |"


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _is_there(module: str) -> bool:
    return find_spec(module.partition(".")[0]) is not None


if __name__ == "__main__":
    main()
