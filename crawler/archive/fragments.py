"""Places on pages: whether a link's fragment names one. Only the page's body tells, which no plain SQL can read.

So `broken_fragments` is a view of this program's own connections alone, on a function that looks into bodies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from html import unescape
from urllib.parse import unquote

import aiosqlite

from crawler.storage.sqlite.views import View, declared, temporary

_MAX_PAGES = 512  # whose places are remembered: links to a page come in a row, as a rule, but not always
_TOP = ("", "top")  # HTML Standard, "select the indicated part": where no element says otherwise
_OF_SCRIPTS = ("!", "/")  # begin what a script reads, such as #!/page or #/page
_PREFIX = "user-content-"  # by which hosts of other people's texts keep their ids apart from their own

_VALUE = r"""\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"""
_ID, _NAME = (re.compile(rf"""[\s"'/]{name}{_VALUE}""", re.IGNORECASE) for name in ("id", "name"))
_ANCHOR = re.compile(r"""<a[\s/](?:"[^"]*"|'[^']*'|[^>"'])*+""", re.IGNORECASE)

_VIEW = """
CREATE VIEW broken_fragments AS
-- Links of current pages to a place on a current page that is not there: no element has that id, nor an `a` that name.
-- For this program's commands only, which look into the bodies for it; other programs do not have this view. What
-- scripts add to a page, or read from a fragment, is not known; links that are nothing but a fragment are not recorded.
--   page_url        the page with the link
--   target_url      the page it leads to
--   fragment        as written, without the #
--   anchor          the link's text
--   page_id         the linking page's newest version
--   target_id       the row of target_url in urls
SELECT
    u.url AS page_url, t.url AS target_url, json_extract(e.value, '$[3]') AS fragment,
    json_extract(e.value, '$[2]') AS anchor, u.page_id, t.id AS target_id
FROM urls AS u JOIN pages AS p ON p.id = u.page_id CROSS JOIN json_each(p.link_details) AS e
    CROSS JOIN urls AS t ON t.id = json_extract(e.value, '$[0]')
    CROSS JOIN pages AS q ON q.id = t.page_id CROSS JOIN bodies AS b ON b.hash = q.body_hash
WHERE u.status IN ('fetched', 'failed', 'pending') AND t.status IN ('fetched', 'failed', 'pending')
    AND json_extract(e.value, '$[3]') <> '' AND NOT q.truncated AND coalesce(q.content_type, 'html') LIKE '%html%'
    AND NOT has_place(b.zstd, q.encoding, json_extract(e.value, '$[3]'));
"""


def own_views() -> dict[str, View]:
    """The views that only connections of the archive have."""
    return dict(declared(_VIEW))


async def add_own_views(connection: aiosqlite.Connection) -> None:
    """Give a connection these views, and what they are made of."""
    await connection.create_function("has_place", 3, has_place, deterministic=True)
    await connection.executescript("".join(map(temporary, own_views().values())))


def has_place(body: bytes, encoding: str, fragment: str) -> bool:
    """Whether an HTML body (a zstd frame) has what the fragment of a URL names. Never raises.

    Source: HTML Standard, "select the indicated part", and URL Fragment Text Directives, which names no element.
    """
    name = fragment.partition(":~:")[0]
    if name.lower() in _TOP or name.startswith(_OF_SCRIPTS):
        return True
    places = _places(body, encoding)
    return places is None or any(one in places for one in (name, unquote(name), _PREFIX + name))


@lru_cache(_MAX_PAGES)
def _places(body: bytes, encoding: str) -> frozenset[str] | None:
    """The ids and names on a page; None where the body cannot be read."""
    from crawler.bodies import DamagedBodyError, decompress  # every command that reads a crawl comes by here
    from crawler.content.encoding import decode

    try:
        text = decode(decompress(body), encoding)
    except DamagedBodyError:
        return None
    return frozenset(unescape(place) for place in _named(text) if place)


def _named(text: str) -> Iterator[str]:
    """What stands in the attributes of HTML, in linear time; a parser takes 13 s for a page of nested elements.

    An id within a comment or a script is taken for one, too: no link is called broken for that.
    """
    for found in _ID.finditer(text):
        yield found[1] or found[2] or found[3] or ""
    for tag in _ANCHOR.finditer(text):
        for found in _NAME.finditer(tag[0]):
            yield found[1] or found[2] or found[3] or ""
