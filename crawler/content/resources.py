"""What a page shows and loads: images, scripts, stylesheets, media. None of it is requested.

Invariant: each element gives one resource at most; of what is written into the page itself (`data:`) there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from crawler.content.hyperlinks import new_tuple, resolve
from crawler.content.metadata import Attributes, Relations
from crawler.content.visible_text import collapse, tag_ids
from crawler.records import Resource

MAX_RESOURCES = 1_000
_MAX_SIZE_CHARS = 20  # of a width or height

MEDIA_TAGS = tag_ids("video audio source track embed object")
_KINDS = {"video": "video", "audio": "audio", "track": "track", "embed": "embed", "object": "embed"}


def read_resources(
    images: Sequence[Attributes],
    scripts: Iterable[Attributes],
    relations: Relations,
    media: Iterable[tuple[int, Attributes]],
    base: str,
) -> tuple[Resource, ...]:
    """Images, scripts, stylesheets and fonts, then media, each in document order.

    `media` are numbers of tags and attributes; those of a `<source>` come with the number of what it stands in.
    """
    found = [*_images(images[:MAX_RESOURCES], base)] if images else []
    for kind, href in _sources(scripts, relations, media):
        if len(found) < MAX_RESOURCES and (url := resolve(href.strip(), base)) is not None:
            found.append(new_tuple(Resource, (kind, url, None, None, None)))
    return tuple(found)


def source_of(attributes: Attributes) -> str:
    """Where an image comes from; of one that a script loads later, from where it will."""
    source = attributes.get("src")
    if not source or source.startswith("data:"):
        return attributes.get("data-src") or source or ""
    return source


def _images(images: Iterable[Attributes], base: str) -> Iterator[Resource]:
    for attributes in images:
        source = source_of(attributes)
        if not source or source.startswith("data:"):
            source = _first_of_set(attributes)
        if (url := resolve(source.strip(), base)) is not None:
            sizes = _size(attributes.get("width")), _size(attributes.get("height"))
            yield Resource("image", url, _alt(attributes), *sizes)


def _first_of_set(attributes: Attributes) -> str:
    """The first URL of a `srcset` (HTML, 4.8.4.2.1)."""
    candidates = (attributes.get("srcset") or attributes.get("data-srcset") or "").split()
    return candidates[0].rstrip(",") if candidates else ""


def _sources(
    scripts: Iterable[Attributes], relations: Relations, media: Iterable[tuple[int, Attributes]]
) -> list[tuple[str, str]]:
    """Kinds, and where they come from."""
    found = [("script", source) for attributes in scripts if (source := attributes.get("src"))]
    found += [("script", one["href"] or "") for one in relations.get("modulepreload", ())]
    found += [("stylesheet", one["href"] or "") for one in relations.get("stylesheet", ())]
    fonts = (one for one in relations.get("preload", ()) if (one.get("as") or "").lower() == "font")
    found += [("font", one["href"] or "") for one in fonts]
    for tag, attributes in media:
        found += _medium(MEDIA_TAGS.get(tag), attributes)
    return found


def _medium(tag: str | None, attributes: Attributes) -> Iterator[tuple[str, str]]:
    kind = _KINDS.get(tag or "")
    if kind is None:  # the `<source>` of a picture is the image once more
        return
    if source := attributes.get("data" if tag == "object" else "src"):
        yield kind, source
    if poster := attributes.get("poster"):
        yield "image", poster


def _alt(attributes: Attributes) -> str | None:
    """An empty one says that the image is mere decoration; without one nobody can tell."""
    return None if "alt" not in attributes else collapse(attributes["alt"])


def _size(text: str | None) -> str | None:
    return text.strip()[:_MAX_SIZE_CHARS] if text else None
