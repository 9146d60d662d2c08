"""Does this URL look like one of endlessly many? Judged by its shape alone, as scope is, and said in the same way.

    path segments             more than `max_path_segments`
    query parameters          more than `max_query_params`
    repeated path segments    /a/b/a/b/a/b, /x/x/x/x, or one segment five times: a relative link that leads to itself
    repeated query parameters the same name=value three times: a link that appends to its own query

Other crawlers draw the lines close by (Heritrix: 20 segments, 2 equal ones in a row; Nutch and StormCrawler: 3
repetitions); these are a little wider, so that sharded ids (/000/000/001), tiles (/0/0/0.png), source trees and search
forms pass. What a shape does not show (calendars, mazes) is for `repetition`, and for the numbers of URLs that a host
and of hosts that a domain may have.
Invariant: the answer depends on the URL and the options alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from crawler.config import ScopeConfig
from crawler.records import ExclusionReason, Reason

_RUNS = 3  # times a group of segments follows itself
_RUNS_OF_ONE = 4  # times a single one does
_LONGEST_GROUP = 8  # segments
_SAME_ANYWHERE = 5
_SAME_PARAMETER = 3
_FEWEST_EXTRA = (
    _RUNS_OF_ONE - 1
)  # what every one of these repetitions has at least, in segments beyond the distinct ones

# Only values that are long enough to be drawn at random: `sid=12` is somebody's article number.
_SESSION = re.compile(
    r"[;?&](?:phpsessid|jsessionid|aspsessionid\w{0,16}|session_?id|sess(?:id)?|sid|oscsid|zenid|cftoken)=([\w.!-]{16,})"
    r"|/\(s\((\w{16,})\)\)",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"(?=[a-f]*\d)[\da-f]{8,}|\d+", re.IGNORECASE)


def trap_of(url: str, config: ScopeConfig) -> Reason | None:
    """The reason why this (normalized) URL may not enter; None where its shape is no trap's."""
    path, _, query = url.partition("?")
    parts = path.split("/")  # scheme, '', host, and the segments
    if len(parts) - 3 > config.max_path_segments:
        return Reason(ExclusionReason.PATH_SEGMENTS)
    if len(parts) - len(set(parts)) >= _FEWEST_EXTRA and config.trap_rules and _repeats_segments(parts[3:]):
        return Reason(ExclusionReason.REPEATED_PATH_SEGMENTS)
    if not query:
        return None
    if query.count("&") >= config.max_query_params:
        return Reason(ExclusionReason.QUERY_PARAMETERS)
    if config.trap_rules and query.count("&") >= _SAME_PARAMETER - 1 and _repeats_parameter(query):
        return Reason(ExclusionReason.REPEATED_QUERY_PARAMETERS)
    return None


def session_of(url: str) -> str | None:
    """The session id in the URL, in its path (;jsessionid=, ASP.NET's (S(...))) or query; None where there is none."""
    if "?" not in url and ";" not in url and "(" not in url:  # ten times as fast as the expression
        return None
    found = _SESSION.search(url)
    return found and (found[1] or found[2])


def pattern_of(url: str) -> str:
    """What is left of path and query when numbers, and values, are taken out: endlessly many URLs have the same.

    With a query its path (three segments of it) and the names of its parameters, '/calendar?month&year'; without one
    its two first folders, '/blog/#/'.
    """
    path, _, query = url.partition("?")
    if not query:
        return _pattern_of_folder(path[: path.rindex("/")])
    segments = path.split("/", 7)[3:]
    names = sorted({part.partition("=")[0] for part in query.split("&")})[:8]
    place = "/".join(_VARIABLE.sub("#", segment.partition(";")[0]) for segment in segments[:3])
    return f"/{place}?{_VARIABLE.sub('#', '&'.join(names))}"


@lru_cache(maxsize=4096)  # a folder has many documents
def _pattern_of_folder(url: str) -> str:
    """`url` goes without its last slash."""
    return "/" + "".join(f"{_VARIABLE.sub('#', segment)}/" for segment in url.split("/", 5)[3:5])


def _repeats_segments(segments: Sequence[str]) -> bool:
    most = Counter(one for one in segments if len(one) > 1 and not one.isdigit()).most_common(1)
    if most and most[0][1] >= _SAME_ANYWHERE:
        return True
    return _follows_itself(segments, 1, _RUNS_OF_ONE) or any(
        _follows_itself(segments, group, _RUNS) for group in range(2, _LONGEST_GROUP + 1)
    )


def _follows_itself(segments: Sequence[str], group: int, runs: int) -> bool:
    """Whether some group of so many segments stands so many times in a row: each equals the one a group before it."""
    equal = 0
    for one, earlier in zip(segments[group:], segments, strict=False):
        equal = equal + 1 if one == earlier else 0
        if equal == group * (runs - 1):
            return True
    return False


def _repeats_parameter(query: str) -> bool:
    parts = query.split("&")
    if len(parts) - len(set(parts)) < _SAME_PARAMETER - 1:
        return False
    return any(part and count >= _SAME_PARAMETER for part, count in Counter(parts).items())
