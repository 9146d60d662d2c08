"""The keys by which captures are found: a URL with its host turned round, and without what is no part of its identity.

Pure. The rules are those of the Internet Archive's canonicalizer ("surt" on PyPI), which pywb and others look up with;
what is given here is normalized already (see `urls.normalize`), which leaves few of them.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from crawler.urls import DEFAULT_PORTS

_SAFE = "!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_AUTHORITY = re.compile(rb"(.+?)(?::(\d+))?")
_WWW = re.compile(rb"www\d*\.")
_PATH_SESSIONS = (
    re.compile(rb"^(.*/)(\((?:[a-z]\([0-9a-z]{24}\))+\)/)([^?]+\.aspx.*)$", re.IGNORECASE),
    re.compile(rb"^(.*/)(\([0-9a-z]{24}\)/)([^?]+\.aspx.*)$", re.IGNORECASE),
)
_QUERY_SESSIONS = tuple(
    re.compile(rb"^(.*)(?:" + session + rb")(?:&(.*))?$", re.IGNORECASE)
    for session in (
        rb"jsessionid=[0-9a-zA-Z]{32}",
        rb"phpsessid=[0-9a-zA-Z]{32}",
        rb"sid=[0-9a-zA-Z]{32}",
        rb"ASPSESSIONID[a-zA-Z]{8}=[a-zA-Z]{24}",
        rb"cfid=[^&]+&cftoken=[^&]+",
    )
)


def surt(url: str) -> str:
    """'com,example)/path?a=1' of 'https://www.example.com/Path?a=1', a normalized http(s) URL without credentials."""
    scheme, _, rest = url.partition("://")
    authority, _, target = rest.partition("/")
    path, has_query, query = f"/{target}".encode().partition(b"?")
    key = _host_key(authority, scheme) + b")" + _path_key(path)
    query_key = _query_key(query) if has_query else b""
    return (key + b"?" + query_key if query_key else key).decode()


def _host_key(authority: str, scheme: str) -> bytes:
    found = _AUTHORITY.fullmatch(authority.encode())
    if found is None:  # a normalized URL has a host
        raise ValueError(f"{authority!r} is no host with a port")
    host, port = found[1].strip(b"[].").removeprefix(www[0] if (www := _WWW.match(found[1])) else b""), found[2]
    turned = b",".join(reversed(host.split(b".")))
    return turned if port is None or int(port) == DEFAULT_PORTS[scheme] else turned + b":" + port


def _path_key(path: bytes) -> bytes:
    whole = _escaped(_without_empty_segments(_unescaped(path))).lower()
    for pattern in _PATH_SESSIONS:
        if found := pattern.match(whole):
            whole = found[1] + found[3]
    return whole[:-1] if whole.endswith(b"/") and len(whole) > 1 else whole


def _without_empty_segments(path: bytes) -> bytes:
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            kept[-1:] = [] if kept else [segment]
        elif segment != b".":
            kept.append(segment)
    folders = [segment for segment in kept[:-1] if segment]
    return b"/" + b"/".join([*folders, *kept[-1:]])


def _query_key(query: bytes) -> bytes:
    text = _escaped(_unescaped(query))
    for pattern in _QUERY_SESSIONS:
        if found := pattern.match(text):
            text = found[1] + (found[2] or b"")
    arguments = [tuple(argument.split(b"=", 1)) for argument in text.lower().split(b"&")]
    return b"&".join(b"=".join(argument) for argument in sorted(arguments))


def _unescaped(text: bytes) -> bytes:
    while (bare := unquote_to_bytes(text)) != text:
        text = bare
    return text


def _escaped(text: bytes) -> bytes:
    return quote_from_bytes(text, safe=_SAFE).encode()
