"""The extractors that are compared: each a function of a page's HTML and URL to Markdown, or to text.

They stand beside ours in the table, so that whoever chooses another one next year sees at once what that is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from crawler.content.markdown import Content, markdown_of
from tests.gold.scoring import text_of_html


@dataclass(frozen=True, slots=True, kw_only=True)
class Extractor:
    """One of them. `modules` are those it needs."""

    name: str
    extract: Callable[[str, str], str]
    gives_markdown: bool = True
    modules: tuple[str, ...] = ()


def _trafilatura(html: str, url: str, **options: Any) -> str:
    named = dict.fromkeys(("include_links", "include_images", "include_tables", "include_formatting"), True)
    found = import_module("trafilatura").extract(html, url=url, output_format="markdown", **named, **options)
    return found or ""


def _resiliparse(html: str, _url: str) -> str:
    extract = import_module("resiliparse.extract.html2text").extract_plain_text
    return str(extract(html, main_content=True, alt_texts=False, list_bullets=False))


def _readability(html: str, url: str) -> str:
    summary = import_module("readability").Document(html, url=url).summary(html_partial=True)
    return _html_to_markdown(summary, url)


def _html_to_markdown(html: str, url: str, preset: str | None = None) -> str:
    module = import_module("html_to_markdown")
    options = module.ConversionOptions(extract_metadata=False, base_url=url, **_preprocessing(preset))
    return module.convert(html, options).content or ""


@cache
def _preprocessing(preset: str | None) -> dict[str, Any]:
    module = import_module("html_to_markdown")
    if preset is None:
        return {}
    named = getattr(module.PreprocessingPreset, preset)
    return {"preprocessing": module.PreprocessingOptions(enabled=True, preset=named, remove_navigation=True)}


EXTRACTORS = (
    Extractor(name="crawler", extract=lambda html, url: markdown_of(html, url, Content.MAIN).text),
    Extractor(name="trafilatura", extract=_trafilatura, modules=("trafilatura",)),
    Extractor(
        name="trafilatura, no comments",
        extract=lambda html, url: _trafilatura(html, url, include_comments=False),
        modules=("trafilatura",),
    ),
    Extractor(
        name="trafilatura, fast",
        extract=lambda html, url: _trafilatura(html, url, fast=True),
        modules=("trafilatura",),
    ),
    Extractor(
        name="readability-lxml + html-to-markdown",
        extract=_readability,
        modules=("readability", "html_to_markdown"),
    ),
    Extractor(name="resiliparse", extract=_resiliparse, gives_markdown=False, modules=("resiliparse.extract",)),
    Extractor(
        name="html-to-markdown, aggressive",
        extract=lambda html, url: _html_to_markdown(html, url, "AGGRESSIVE"),
        modules=("html_to_markdown",),
    ),
    Extractor(name="all text", extract=lambda html, _url: text_of_html(html), gives_markdown=False),
)
