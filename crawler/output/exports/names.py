"""Which file of a folder a URL's document is: https://example.com/docs/a -> example.com/docs/a.txt.

A URL whose path is harmless as it stands is named by that. Every other one (capitals, queries, escapes, long ones ...)
is named by as much of it as is harmless, `~`, and a hash.
Invariant: the name is a function of the URL alone, and no two URLs have the same one, also where a file system takes no
notice of case. No name leads out of the folder, is reserved somewhere (CON, a dot at the end) or so long that it is
refused, and no file has the name of a folder.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import unquote

from crawler.urls import authority_of, scheme_of, target_of

_HASH_BYTES = 10  # 80 bits, in 16 letters
_MAX_NAME, _MAX_HOST, _MAX_PATH = 60, 80, 180  # characters of what is named by its path
_CUT, _KEPT_FOLDERS = 30, 3  # characters of each part, and folders, of what is not
_INDEX = "index"  # stands for the name that /docs/ does not have

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PORT = re.compile(r"(.*?)(?::([0-9]+))?")
_FOLDER = re.compile(r"[a-z0-9][a-z0-9_-]*")  # without a dot, which every file has
_FILE = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_HARMFUL = re.compile(r"[^a-z0-9_]+")
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{one}{n}" for one in ("com", "lpt") for n in range(10))})


def file_name(url: str, suffix: str) -> str:
    """The path of its file within the folder. `url` is as it is stored, normalized; `suffix` has its dot."""
    site = _site(url)
    path, mark, query = target_of(url).partition("?")
    *folders, name = path.split("/")[1:]
    if site is not None and not mark and _is_harmless(folders, name):
        return "/".join([site, *folders, (name or _INDEX) + suffix])
    kept = [part for part in map(_cut, folders) if part][:_KEPT_FOLDERS]
    stem = _cut(f"{name} {query}") or _INDEX
    return "/".join([site or _cut(authority_of(url)) or "_", *kept, f"{stem}~{_hash(url)}{suffix}"])


def _site(url: str) -> str | None:
    """The folder of its host: example.com, example.com+http or example.com+8443; None: that is no harmless name."""
    found = _PORT.fullmatch(authority_of(url))
    host, port = (found[1], found[2]) if found else ("", None)
    if not _HOST.fullmatch(host) or len(host) > _MAX_HOST or _is_reserved(host):
        return None
    return "+".join([host, *(["http"] if scheme_of(url) == "http" else []), *([port] if port else [])])


def _is_harmless(folders: Sequence[str], name: str) -> bool:
    """Whether a path can be a file's as it is: it is told from any other by that."""
    if sum(map(len, folders)) + len(folders) + len(name) > _MAX_PATH or name == _INDEX:
        return False
    if not all(_FOLDER.fullmatch(one) and len(one) <= _MAX_NAME and not _is_reserved(one) for one in folders):
        return False
    return not name or (bool(_FILE.fullmatch(name)) and len(name) <= _MAX_NAME and not _is_reserved(name))


def _is_reserved(name: str) -> bool:
    """On Windows, whatever stands behind the first dot."""
    return name.partition(".")[0] in _RESERVED


def _cut(text: str) -> str:
    """What is harmless of a text: small letters and digits, with hyphens between."""
    kept = _HARMFUL.sub("-", unquote(text).lower()).strip("-_")[:_CUT].strip("-_")
    return f"{kept}-" if kept in _RESERVED else kept


def _hash(url: str) -> str:
    return b32encode(blake2b(url.encode(), digest_size=_HASH_BYTES).digest()).decode().lower()
