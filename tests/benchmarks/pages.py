"""Generated pages of about 2 KB."""

from __future__ import annotations

from collections.abc import Iterable

PAGE_BYTES = 2048
_SENTENCE = "A crawler that asks politely is welcome nearly everywhere it goes. "


def page(title: str, links: Iterable[str]) -> str:
    """A document of `PAGE_BYTES`, or of what its links need."""
    items = "".join(f'<li><a href="{link}">{link}</a></li>\n' for link in links)
    document = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<ul>\n{items}</ul>\n<p>%s</p>\n</body></html>\n"
    )
    room = max(0, PAGE_BYTES - len(document) + 2)
    return document % (_SENTENCE * (room // len(_SENTENCE) + 1))[:room]
