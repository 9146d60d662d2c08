"""What a page says of itself to whoever shows a preview of it: Open Graph, the vocabularies beside it, and Twitter's.

Source: https://ogp.me ("arrays" and "object types"). `property` may hold several names, as in RDFa; `name` is where
Twitter's belong, and is often written for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crawler.content.visible_text import collapse

MAX_OPEN_GRAPH = 100  # values
MAX_VALUE_CHARS = 10_000

_VOCABULARIES = frozenset({"og", "article", "product", "book", "profile", "video", "music", "twitter"})


def read_open_graph(metas: Iterable[Mapping[str, str | None]]) -> dict[str, str | list[str]]:
    """The values by property, in lower case; a list, in document order, where several are given.

    `metas` are the attributes of the `<meta>` elements. A value that is blank counts only where there is no other.
    """
    found: dict[str, list[str]] = {}
    room = MAX_OPEN_GRAPH
    for meta in metas:
        written, name = meta.get("property"), meta.get("name")
        if not (written and ":" in written) and not (name and ":" in name):
            continue  # of most, neither is a property
        for property_name in _properties(written, name):
            values = found.get(property_name)
            value = collapse(meta.get("content"), MAX_VALUE_CHARS)
            if not room or (values is not None and not value):
                continue
            if values == [""]:
                values[0] = value
                continue
            found.setdefault(property_name, []).append(value)
            room -= 1
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _properties(*written: str | None) -> list[str]:
    """Each once, though Twitter's are sometimes given both as a `name` and as a `property`."""
    names = dict.fromkeys(" ".join(filter(None, written)).lower().split())
    return [collapse(name) for name in names if name.partition(":")[0] in _VOCABULARIES and not name.endswith(":")]
