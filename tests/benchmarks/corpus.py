"""A made-up site of pages as large as those of the real web, the same in every run.

A page has what those have: styles and scripts in its head, a menu with icons, an article, cards that lead to other
articles, and its state as JSON; 120 KB in the median, between 60 and 400 KB, which gzip makes four times smaller. Its
images, styles and scripts lie on another host, which no crawler here may visit.
"""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from random import Random

MENU, CARDS, CHILDREN, ELSEWHERE = 40, 24, 10, 8  # links of a page
_MEDIAN_BYTES, _SPREAD, _SMALLEST, _LARGEST = 120_000, 0.5, 60_000, 400_000  # log-normal
_OF_TEXT, _OF_STYLES, _OF_STATE = 0.3, 0.15, 0.25  # the share of a page's bytes; the rest are its elements
_WORDS = 6_000
_CONSONANTS, _VOWELS = ("b", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "ch", "dr", "pl", "st"), "aeiou"
_ICON = '<svg class="icon icon--{0}" viewBox="0 0 24 24" aria-hidden="true"><path d="{1}"></path></svg>'
_CDN = "https://cdn.invalid"


def write_site(folder: Path, pages: int) -> None:
    """So many pages below `folder`, each also compressed, for nginx's gzip_static; the first is index.html."""
    folder.mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(partial(_write, folder, pages), range(pages), chunksize=50):
            pass
    (folder / "robots.txt").write_text("User-agent: *\nDisallow:\n")


def path_of(number: int) -> str:
    """A page's path on the site."""
    return f"/{_slug(number)}.html" if number else "/"


def document(number: int, pages: int) -> str:
    """The page with this number, of a site of so many."""
    random = Random(number)
    size = min(max(random.lognormvariate(0, _SPREAD) * _MEDIAN_BYTES, _SMALLEST), _LARGEST)
    title = _text(random, 7).capitalize()
    article = _article(random, int(size * _OF_TEXT))
    cards = [*_children(number, pages), *(random.randrange(pages) for _ in range(CARDS))]
    body = "".join(_card(random, card) for card in cards)
    state = _state(random, int(size * _OF_STATE))
    head = _head(random, title, int(size * _OF_STYLES))
    elsewhere = "".join(
        f'<li class="list-none m-0 p-2"><a class="link link--quiet" href="https://{_text(random, 1)}.example/" '
        f'rel="nofollow noopener" target="_blank">{_text(random, 2)}</a></li>\n'
        for _ in range(ELSEWHERE)
    )
    page = (
        f'<!DOCTYPE html>\n<html lang="en" class="no-js" data-theme="light">\n{head}<body class="post page-{number}">\n'
        f'<header class="site-header sticky top-0 z-50"><nav class="menu" aria-label="Main"><ul>\n{_menu(pages)}</ul>'
        f'</nav></header>\n<main id="content"><article class="prose"><h1>{title}</h1>\n{article}</article>\n'
        f'<section class="grid grid-cols-3 gap-6">{body}'
    )
    foot = (
        f'</section></main>\n<footer><ul>{elsewhere}</ul></footer>\n<script id="state" type="application/json">{state}'
        "</script>\n</body>\n</html>\n"
    )
    missing = int(size) - len(page) - len(foot)
    return page + "".join(_teaser(random) for _ in range(missing // 500)) + foot


def _write(folder: Path, pages: int, number: int) -> None:
    content = document(number, pages).encode()
    path = folder / (f"{_slug(number)}.html" if number else "index.html")
    path.write_bytes(content)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 6, mtime=0))


def _slug(number: int) -> str:
    return f"{_text(Random(~number), 4).replace(' ', '-')}-{number}"


def _children(number: int, pages: int) -> range:
    first = number * CHILDREN + 1
    return range(min(first, pages), min(first + CHILDREN, pages))


def _head(random: Random, title: str, size: int) -> str:
    rules: list[str] = []
    while sum(map(len, rules)) < size:
        rules += [_rule(random) for _ in range(50)]
    described = {"@context": "https://schema.org", "@type": "Article", "headline": title, "author": _text(random, 2)}
    return (
        f'<head>\n<meta charset="utf-8">\n<title>{title} | The made-up site</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="description" content="{_text(random, 20)}">\n<meta property="og:title" content="{title}">\n'
        f'<meta property="og:image" content="{_CDN}/{random.getrandbits(64):016x}.jpg">\n'
        f'<link rel="stylesheet" href="{_CDN}/main.css">\n<script async src="{_CDN}/app.js"></script>\n'
        f"<style>{''.join(rules)}</style>\n"
        f'<script type="application/ld+json">{json.dumps(described)}</script>\n</head>\n'
    )


def _rule(random: Random) -> str:
    name = f"{_text(random, 1)}__{_text(random, 1)}"
    return (
        f".{name}{{margin:{random.randrange(64)}px {random.randrange(64)}px;color:#{random.getrandbits(24):06x};"
        "display:flex;align-items:center}\n"
    )


@cache
def _menu(pages: int) -> str:
    random = Random(0)
    return "".join(
        f'<li class="menu__item relative flex items-center"><a class="menu__link px-4 py-2 font-medium text-gray-700" '
        f'href="{path_of(random.randrange(pages))}">{_icon(random)}<span>{_text(random, 2)}</span></a></li>\n'
        for _ in range(MENU)
    )


def _icon(random: Random) -> str:
    points = "".join(f"M{random.randrange(24)} {random.randrange(24)}l{random.random():.3f} 0z" for _ in range(8))
    return _ICON.format(_text(random, 1), points)


def _article(random: Random, size: int) -> str:
    parts: list[str] = []
    while size > 0:
        text = _text(random, random.randrange(30, 120)).capitalize()
        size -= len(text)
        parts.append(f'<p class="mb-4 leading-7">{text}.</p>\n')
        if not random.randrange(5):
            parts.append(f'<h2 id="{_text(random, 1)}" class="mt-8 mb-2 text-2xl">{_text(random, 5)}</h2>\n')
        if not random.randrange(8):
            cells = "".join(f"<tr><td>{_text(random, 2)}</td><td>{random.random():.4f}</td></tr>" for _ in range(8))
            parts.append(f'<table class="table"><tbody>{cells}</tbody></table>\n')
    return "".join(parts)


def _card(random: Random, number: int) -> str:
    image = f"{_CDN}/{random.getrandbits(48):012x}"
    return (
        '<div class="card rounded-xl shadow-sm bg-white overflow-hidden"><div class="card__media aspect-video">'
        f'<img loading="lazy" width="640" height="360" alt="" src="{image}.jpg" '
        f'srcset="{image}-320.jpg 320w, {image}-640.jpg 640w"></div><div class="card__body p-4">'
        f'<h3 class="card__title text-lg"><a href="{path_of(number)}" data-id="{random.getrandbits(32)}">'
        f"{_text(random, 6)}</a></h3><p>{_text(random, 15)}</p></div></div>\n"
    )


def _teaser(random: Random) -> str:
    """About 500 bytes that lead nowhere."""
    return (
        f'<div class="teaser flex gap-2 border-b" data-track="{random.getrandbits(64):016x}"><div class="teaser__icon">'
        f'{_icon(random)}</div><button type="button" class="btn btn--ghost" aria-label="{_text(random, 2)}">'
        f'<span class="sr-only">{_text(random, 2)}</span></button></div>\n'
    )


def _state(random: Random, size: int) -> str:
    entries = []
    while size > 0:
        entry = {
            "id": f"{random.getrandbits(64):016x}",
            "type": "post",
            "published": True,
            "title": _text(random, 5),
            "url": f"/api/v2/posts/{random.getrandbits(32)}",
            "score": round(random.random(), 6),
        }
        size -= 150
        entries.append(entry)
    return json.dumps({"props": {"entries": entries}}, separators=(",", ":"))


def _text(random: Random, words: int) -> str:
    vocabulary, weights = _vocabulary()
    return " ".join(random.choices(vocabulary, cum_weights=weights, k=words))


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Made-up words, as frequent as words are (Zipf)."""
    random = Random(1)
    syllables = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
    words = ["".join(random.choices(syllables, k=random.choice((1, 2, 2, 3, 3, 4)))) for _ in range(_WORDS)]
    return words, list(accumulate(1 / (rank + 3) for rank in range(_WORDS)))
