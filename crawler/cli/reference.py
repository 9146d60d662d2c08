"""The manual's table of options, as Markdown. `python -m crawler.cli.reference` writes it anew after a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from crawler.cli.crawl import CRAWL_OPTIONS
from crawler.cli.crawl_file import CONFIG
from crawler.options import Option
from crawler.release import VERSION

PAGE = Path(__file__).parents[1] / "manual" / "options.md"
_BEGIN, _END = "<!-- options:begin -->\n", "<!-- options:end -->\n"


def with_table(page: str) -> str:
    """The page with the table of today between its marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = "".join(f"{line}\n" for line in option_table((CONFIG, *CRAWL_OPTIONS)))
    return f"{before}{_BEGIN}{table}{_END}{after}"


def option_table(options: Iterable[Option]) -> Iterator[str]:
    """The lines of the table, with a line for each panel."""
    yield "| option | default | what it does |"
    yield "|---|---|---|"
    panel = None
    for one in options:
        if one.panel != panel:
            panel = one.panel
            yield f"| **{panel}** | | |"
        yield _row(", ".join(f"`{flag}`" for flag in _flags(one)), _default(one), f"{one.help} {one.more}".strip())


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells).replace("|  |", "| |") + " |"


def _flags(option: Option) -> Iterator[str]:
    yield f"{option.flag} {option.kind.metavar}".strip()
    yield from filter(None, (option.negative, option.short))


def _default(option: Option) -> str:
    """As it would be written, unless it changes with each release."""
    if option.default is None or option.kind.repeatable or VERSION in option.show(option.default):
        return ""
    shown = option.show(option.default)
    return shown if isinstance(option.default, bool) else f"`{shown}`"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
