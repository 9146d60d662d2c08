"""What 'the same URL' means. Everything stored or requested has passed through `normalize`.

The functions below `normalize` take its output and rely on it: a special-scheme URL in WHATWG serialization always has
a non-empty lower-case host and a path that begins with '/'.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Self
from urllib.parse import unquote, unquote_plus

from ada_url import join_url, normalize_url

from crawler.charsets.encoder import encode

_TRIMMED = "".join(map(chr, range(0x21)))  # what a URL may be surrounded by
_LINE_BREAKS = {ord(char): None for char in "\t\n\r"}  # may stand anywhere in it
_QUERY_CHARACTERS = frozenset(range(0x21, 0x7F)) - frozenset(b"\"#<>'")
_WRITTEN_AS_UTF8 = frozenset({"utf-8", "utf-16le", "utf-16be", "replacement"})
_NAME = r"[\w~!$&()*+,;=@-][\w~!$&()*+,;=@.-]*+"  # in a path: neither '.' nor '..', nothing to be encoded
_PLAIN = re.compile(rf"(?:/|((?:\.\./)*+))(?>{_NAME}/)*+(?:{_NAME})?(?:\?[\w~!$&()*+,;=@.:/%-]+)?", re.ASCII)
_PATH_PARAMETER = re.compile(r";([^;=/]+=[^;/]*)")
DEFAULT_PORTS = {"http": 80, "https": 443}


class DocumentBase(str):
    """The URL that a document's links are resolved against, where queries are not written in UTF-8 there."""

    __slots__ = ("encoding",)
    encoding: str

    def __new__(cls, url: str, encoding: str) -> Self:
        """`encoding` is a name of the Encoding Standard's, lower case."""
        self = super().__new__(cls, url)
        self.encoding = encoding
        return self


def document_base(url: str, encoding: str) -> str:
    """`url` to resolve the links of a document in `encoding` against."""
    return str(url) if encoding in _WRITTEN_AS_UTF8 else DocumentBase(url, encoding)


def normalize(href: str, base: str | None = None) -> str | None:
    """The WHATWG href of `href` (resolved against `base`) without its fragment; None if it is not an http(s) URL.

    Nothing else is changed: no parameter is dropped, and case is folded only as the standard says. Where `base` is a
    `DocumentBase`, the query is in the encoding of that document, in all other cases in UTF-8.
    Source: WHATWG URL Standard, "URL parsing" and "URL serializing".
    """
    if type(base) is DocumentBase and not href.isascii():
        href = _with_encoded_query(href, base.encoding)
    try:
        url = normalize_url(href) if base is None else join_url(base, href)
    except ValueError:
        return None
    if not url.startswith(("http://", "https://")):
        return None
    return url.partition("#")[0]


def join_plain(href: str, folder: str) -> str | None:
    """What `normalize` gives, in half the time, of an href that is a path, perhaps with a query, and is written as it
    will stand in the URL; None of any other. `folder` is a normalized URL that ends with the '/' of its path.
    """
    found = _PLAIN.fullmatch(href)
    if found is None:
        return None
    root = folder.index("/", len("https://"))
    if found[1] is None:
        return folder[:root] + href
    end = len(folder) - 1
    for _ in range(0, found.end(1), len("../")):
        end = folder.rindex("/", root, end) if end > root else end
    return folder[: end + 1] + href[found.end(1) :]


def _with_encoded_query(href: str, encoding: str) -> str:
    """`href` with its query, if it is not ASCII, in the bytes of `encoding`; what that lacks is written as a number.

    Source: WHATWG URL Standard, "percent-encode after encoding" with the special-query percent-encode set.
    """
    before, hash_mark, fragment = href.partition("#")
    path, question_mark, query = before.partition("?")
    if query.isascii():
        return href
    if not hash_mark:
        query = query.rstrip(_TRIMMED)
    written = encode(query.translate(_LINE_BREAKS), encoding, reference="%26%23{}%3B")
    escaped = "".join(chr(byte) if byte in _QUERY_CHARACTERS else f"%{byte:02X}" for byte in written)
    return f"{path}{question_mark}{escaped}{hash_mark}{fragment}"


def scheme_of(url: str) -> str:
    """'http' or 'https'."""
    return url[: url.index(":")]


def authority_of(url: str) -> str:
    """What is between '://' and the path, including credentials."""
    start = url.index("://") + 3
    return url[start : url.index("/", start)]


def origin_of(url: str) -> str:
    """Scheme, host and (where it is not the default) port: 'https://example.com:8443'."""
    origin = url[: url.index("/", url.index("://") + 3)]
    return without_credentials(f"{origin}/")[:-1] if "@" in origin else origin


def host_of(url: str) -> str:
    """The host name or address in lower case; an IPv6 address keeps its brackets. 'a.example.' gives 'a.example': the
    final dot makes another URL and another origin, but it is the same host to be polite to (RFC 1034, 3.1).
    """
    host, _port = _split_port(authority_of(url).rpartition("@")[2])
    return host.removesuffix(".") or host


def port_of(url: str) -> int:
    """The port, or the scheme's default if the URL has none."""
    _host, port = _split_port(authority_of(url).rpartition("@")[2])
    return DEFAULT_PORTS[scheme_of(url)] if port is None else port


def target_of(url: str) -> str:
    """Path and query: what goes on the request line (RFC 9112, origin-form)."""
    return url[url.index("/", url.index("://") + 3) :]


def credentials_of(url: str) -> tuple[str, str] | None:
    """The decoded user and password in the URL; None if there are none."""
    userinfo, at, _host = authority_of(url).rpartition("@")
    if not at:
        return None
    user, _, password = userinfo.partition(":")
    return unquote(user), unquote(password)


def without_credentials(url: str) -> str:
    """The URL without user and password, as it may be stored and shown."""
    if "@" not in url:
        return url
    _userinfo, at, host = authority_of(url).rpartition("@")
    return f"{scheme_of(url)}://{host}{target_of(url)}" if at else url


def drop_params(url: str, globs: Collection[str]) -> str:
    """The URL without the parameters whose decoded name matches one of `globs` ('utm_*'). The others keep their order.

    Drops parameters of the query, and ';name=value' at the end of a path segment (RFC 3986, 3.3): ';jsessionid=1'.
    """
    if not globs:
        return url
    base, mark, query = url.partition("?")
    if ";" in base:
        base = _without_path_parameters(base, globs)
    kept = [part for part in query.split("&") if not _matches(part, globs)]
    return f"{base}?{'&'.join(kept)}" if mark and kept else base


def _without_path_parameters(url: str, globs: Collection[str]) -> str:
    path = target_of(url)  # a host may hold ';', too
    kept = _PATH_PARAMETER.sub(lambda found: "" if _matches(found[1], globs) else found[0], path)
    if kept == path:
        return url
    return normalize(url.removesuffix(path) + kept) or url  # '..;a=1' has become '..'


def _matches(parameter: str, globs: Collection[str]) -> bool:
    name = unquote_plus(parameter.partition("=")[0])
    return any(fnmatchcase(name, glob) for glob in globs)


def _split_port(host_and_port: str) -> tuple[str, int | None]:
    host, colon, port = host_and_port.rpartition(":")
    if not colon or port.endswith("]"):
        return host_and_port, None
    return host, int(port)
