"""robots.txt (RFC 9309): parse once, ask often. Pure: bytes in, answers out.

Invariants: `parse` and the questions never raise, whatever the bytes. A file costs time in proportion to its size. A
question costs a dictionary look-up for each distinct length of the literal prefixes, and a scan of the URL for each
wildcard rule whose literal prefix fits, up to `MAX_SCAN`; no rule becomes a regular expression, so nothing backtracks.

Where RFC 9309 leaves a choice, or real files stray from it:
- Records other than User-agent, Allow and Disallow never end a run of User-agent lines (2.2.4; Google's parser too).
- A path that begins with neither "/" nor "*" can match nothing and is ignored (as by Google's parser).
- A forgotten colon ("Disallow /x", exactly two words) and the misspellings in `_FIELDS` are understood (likewise).
- An empty Allow or Disallow says nothing, but it does close the run of User-agent lines.
- "crawler/2.0" names "crawler", "Mozilla/5.0 (compatible; ExampleBot/1.0)" names "ExampleBot". A name is compared
  whole: "crawler4j" names another agent (see `user_agent`).
- 2.2.2 keeps "%2F" apart from "/", yet its second example equates them in a query. So here : / ? @ differ from their
  encoded forms in a path, where they delimit, and equal them in a query.
- Crawl-delay is no part of the RFC. The first valid value that an agent's groups give it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field
from math import isfinite
from typing import NamedTuple

from crawler.statically_frozen import dataclass
from crawler.urls import normalize, target_of
from crawler.user_agent import agent_name, named_in

MAX_BYTES = 512 * 1024  # RFC 9309, 2.5 asks for at least 500 KiB; what follows the last whole line is not read
MAX_CRAWL_DELAY_S = 60.0  # that is obeyed; who asks for more gets this
# The characters that wildcard rules may scan for one question, some 10 ms. Only a hostile file needs more (for a URL of
# 60 characters, 40,000 short rules fit in). The rules left over are judged by their literal prefixes alone, Disallow as
# matching and Allow as not: whoever writes such a file loses pages and never gains one.
MAX_SCAN = 4_000_000
MAX_CRAWL_DELAY_S = 60.0  # whatever the file asks for
MAX_SITEMAPS = 1_000
MAX_RULE_TEXT = 300  # characters of a rule that are quoted

_ANY_AGENT = "*"
_PART_COST = 32  # what looking for one more part costs beside the scan, in characters
_BOM_PARTS = (b"\xef\xbb\xbf", b"\xef\xbb", b"\xef")
_FIELDS = {
    b"user-agent": "user-agent",
    b"useragent": "user-agent",
    b"user agent": "user-agent",
    b"allow": "allow",
    b"disallow": "disallow",
    b"dissallow": "disallow",
    b"dissalow": "disallow",
    b"disalow": "disallow",
    b"diasllow": "disallow",
    b"disallaw": "disallow",
    b"crawl-delay": "crawl-delay",
    b"sitemap": "sitemap",
    b"site-map": "sitemap",
}
_DELAY = re.compile(rb"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# An escape, or a character that must become one. Kept raw are the unreserved characters, and those reserved ones that
# RFC 3986 admits in paths and queries, but for "*" and "$" (special in rules) and "'" (which WHATWG URLs encode).
_NOT_CANONICAL = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!&()+,;=:@/?]")
_PLAIN_IN_QUERY = {"%2F": "/", "%3A": ":", "%3F": "?", "%40": "@"}
_ENCODED_DELIMITER = re.compile("%2F|%3[AF]|%40")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRule:
    """The rule that decides over a URL: its 1-based line in the file, and its text, such as 'Disallow: /private'."""

    allowed: bool
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RobotsRules:
    """What one robots.txt says. `sitemaps` are normalized absolute URLs in the file's order, for all agents.

    An agent's rules are prepared at the first question about it and kept. Not for use by several threads at once.
    """

    sitemaps: tuple[str, ...] = ()
    _groups: dict[str, _Group] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, body: bytes, url: str | None = None) -> RobotsRules:
        """The rules in `body`, which may be anything at all: what cannot be read as a rule is skipped.

        `url` is the file's own (normalized), which its sitemaps are resolved against; without it, they must be absolute
        as the protocol wants them.
        """
        reader = _Reader(url)
        for number, line in enumerate(_whole_lines(body), 1):
            reader.read(number, line)
        return cls(sitemaps=tuple(reader.sitemaps), _groups=reader.groups)

    def allows(self, user_agent: str, url: str) -> bool:
        """Whether `user_agent` (a name or a whole User-Agent value) may fetch `url`; see `deciding_rule`."""
        rule = self.deciding_rule(user_agent, url)
        return rule is None or rule.allowed

    def deciding_rule(self, user_agent: str, url: str) -> MatchedRule | None:
        """The rule that decides over `url` for `user_agent`; None where none matches, which means allowed.

        The rule with the most octets wins, Allow wins a tie (RFC 9309, 2.2.2). `url` is an http(s) URL, or its path
        and query alone; anything else is no concern of a robots.txt. /robots.txt itself is always allowed.
        """
        group = self._group_of(user_agent)
        if group is None or not (index := group.index()):
            return None  # most sites have no rules for most agents
        absolute = normalize(url, "http://localhost/")
        if absolute is None or target_of(absolute) == "/robots.txt":
            return None
        found = [rule for target in _comparable_targets(target_of(absolute)) if (rule := index.strongest(target))]
        return max(found).matched() if found else None

    def crawl_delay(self, user_agent: str) -> float | None:
        """Seconds between requests that the agent's group asks for; None where it does not say."""
        group = self._group_of(user_agent)
        return None if group is None else group.crawl_delay_s

    def _group_of(self, user_agent: str) -> _Group | None:
        return self._groups.get(named_in(self._groups, user_agent) or _ANY_AGENT)


def _whole_lines(body: bytes) -> list[bytes]:
    """Without a byte order mark, or the part of one that a careless editor has left (as Google's parser)."""
    body = body.removeprefix(next((part for part in _BOM_PARTS if body.startswith(part)), b""))
    if len(body) > MAX_BYTES:
        head = body[:MAX_BYTES]
        body = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
    return body.splitlines()


class _RuleLine(NamedTuple):
    line: int
    allowed: bool
    path: bytes


class _Reader:
    """Puts lines into groups. Agents of one group share the list of its rules: a copy each could cost a square."""

    __slots__ = ("_last_was_agent", "_rules", "_url", "_without_delay", "groups", "sitemaps")

    def __init__(self, url: str | None) -> None:
        self._url = url
        self.groups: dict[str, _Group] = {}
        self.sitemaps: dict[str, None] = {}
        self._rules: list[_RuleLine] | None = None  # of the current group; None before the first
        self._without_delay: list[_Group] = []
        self._last_was_agent = False

    def read(self, number: int, line: bytes) -> None:
        """Take one line, numbered from 1."""
        name, value = _split_field(line)
        match _FIELDS.get(name):
            case "user-agent":
                self._add_agent(value)
            case "allow" | "disallow" as kind:
                self._last_was_agent = False
                if self._rules is not None and value:
                    self._rules.append(_RuleLine(number, kind == "allow", value))
            case "crawl-delay":
                self._set_delay(value)
            case "sitemap":
                self._add_sitemap(value)

    def _add_agent(self, value: bytes) -> None:
        if not self._last_was_agent or self._rules is None:
            self._rules, self._without_delay = [], []
        self._last_was_agent = True
        name = _ANY_AGENT if value.split()[:1] == [b"*"] else agent_name(value.decode("latin-1"))
        if not name:
            return
        group = self.groups.setdefault(name.lower(), _Group())
        if not group.rule_lists or group.rule_lists[-1] is not self._rules:
            group.rule_lists.append(self._rules)
            self._without_delay.append(group)

    def _set_delay(self, value: bytes) -> None:
        if not _DELAY.fullmatch(value) or not isfinite(delay_s := float(value)):
            return
        for group in self._without_delay:
            if group.crawl_delay_s is None:
                group.crawl_delay_s = delay_s
        self._without_delay.clear()

    def _add_sitemap(self, value: bytes) -> None:
        if not value or len(self.sitemaps) >= MAX_SITEMAPS:
            return
        url = normalize(value.decode("utf-8", "replace"), self._url)
        if url is not None:
            self.sitemaps[url] = None


def _split_field(line: bytes) -> tuple[bytes, bytes]:
    """The record's name in lower case, and its value; both empty where the line holds no record."""
    record = line.partition(b"#")[0]
    name, colon, value = record.partition(b":")
    if colon:
        return name.strip().lower(), value.strip()
    words = record.split()
    return (words[0].lower(), words[1]) if len(words) == 2 else (b"", b"")


@dataclass(slots=True)
class _Group:
    """All that the file says to one agent, from wherever it says it."""

    crawl_delay_s: float | None = None
    rule_lists: list[list[_RuleLine]] = field(default_factory=list)
    _index: _Index | None = None

    def index(self) -> _Index:
        if self._index is None:
            self._index = _Index(rule for rules in self.rule_lists for rule in rules)
            self.rule_lists = []
        return self._index


class _Rule(NamedTuple):
    """Ordered so that the greatest decides: most octets, then Allow, then the earliest line."""

    octets: int
    allowed: bool
    minus_line: int
    path: bytes

    def matched(self) -> MatchedRule:
        path = self.path[: 4 * MAX_RULE_TEXT].decode("utf-8", "replace")
        shown = "".join(character if character.isprintable() else "\ufffd" for character in path)  # it is stored
        text = f"{'Allow' if self.allowed else 'Disallow'}: {shown}"
        return MatchedRule(allowed=self.allowed, line=-self.minus_line, text=text[:MAX_RULE_TEXT])


class _Wildcard(NamedTuple):
    """A rule with a wildcard inside. After the literal prefix come `middle` in this order, then `tail` ends the URL."""

    rule: _Rule
    middle: tuple[str, ...]
    tail: str  # empty where whatever follows is fine
    longest: str  # of these parts: the first to look for


class _Index:
    """One agent's rules by their literal prefixes: `prefixes` match what begins so, `exact` only that itself."""

    __slots__ = ("_exact", "_lengths", "_prefixes", "_wildcards")

    def __init__(self, lines: Iterable[_RuleLine]) -> None:
        self._exact: dict[str, _Rule] = {}
        self._prefixes: dict[str, _Rule] = {}
        self._wildcards: dict[str, list[_Wildcard]] = {}
        for line in lines:
            self._add(line)
        for bucket in self._wildcards.values():
            bucket.sort(reverse=True)  # strongest first: the first match decides
        self._lengths = sorted({len(prefix) for prefix in (*self._prefixes, *self._wildcards)})

    def __bool__(self) -> bool:
        return bool(self._lengths or self._exact)

    def strongest(self, target: str) -> _Rule | None:
        """The rule that decides over a canonical path and query."""
        best = self._exact.get(target)
        to_scan = MAX_SCAN
        for length in self._lengths:
            if length > len(target):
                break
            prefix = target[:length]
            rule = self._prefixes.get(prefix)
            if rule and (best is None or rule > best):
                best = rule
            if prefix in self._wildcards:
                best, to_scan = _strongest_wildcard(self._wildcards[prefix], target, length, best, to_scan)
        return best

    def _add(self, line: _RuleLine) -> None:
        pattern, anchored = _canonical_pattern(line.path)
        rule = _Rule(len(pattern) + anchored, line.allowed, -line.line, line.path)
        prefix, *parts = pattern.split("*")
        tail = parts.pop() if anchored and parts else ""
        middle = tuple(filter(None, parts))
        if middle or tail:
            wildcard = _Wildcard(rule, middle, tail, max((*middle, tail), key=len))
            self._wildcards.setdefault(prefix, []).append(wildcard)
            return
        # "/x*" is "/x", and so is "/x*$"; only "/x$" means just that
        table = self._exact if anchored and "*" not in pattern else self._prefixes
        table[prefix] = max(rule, table.get(prefix, rule))


def _strongest_wildcard(
    bucket: list[_Wildcard], target: str, start: int, best: _Rule | None, to_scan: int
) -> tuple[_Rule | None, int]:
    """The first of `bucket` that fits target[start:], or `best` where that is stronger; and what remains to scan."""
    for rule, middle, tail, longest in bucket:
        if best and rule < best:
            break
        to_scan -= len(target) + _PART_COST * len(middle)
        if to_scan < 0:
            if not rule.allowed:
                return rule, to_scan
        elif longest in target and _fits(middle, tail, target, start):
            return rule, to_scan
    return best, to_scan


def _fits(middle: tuple[str, ...], tail: str, target: str, start: int) -> bool:
    """Whether target[start:] holds the parts. Each taken at its first place leaves the most room for the others."""
    for part in middle:
        found = target.find(part, start)
        if found < 0:
            return False
        start = found + len(part)
    return target.endswith(tail) and start <= len(target) - len(tail)


def _canonical_pattern(path: bytes) -> tuple[str, bool]:
    """A rule's path in the form that is compared, its wildcards kept as '*'; and whether a final '$' anchored it."""
    text = path.decode("latin-1")
    anchored = text.endswith("$")
    parts = text.removesuffix("$").split("*")
    return _plain_query("*".join(map(_canonical, parts))), anchored


def _comparable_targets(target: str) -> Iterable[str]:
    """The canonical forms of a URL's path and query.

    There are two where the query holds encoded delimiters: a rule without a "?" ("/*%2Fprint") cannot tell that its
    text is meant for the query, so that it may be written either way.
    """
    canonical = _canonical(target)
    return {canonical, _plain_query(canonical)}


def _canonical(text: str) -> str:
    """Unreserved characters decoded, all else that is no delimiter percent-encoded in upper case. Idempotent.

    Source: RFC 9309, 2.2.2. `text` holds one character for each octet. A stray "%" counts as "%25".
    """
    return _NOT_CANONICAL.sub(_canonical_character, text)


def _canonical_character(match: re.Match[str]) -> str:
    text = match[0]
    if len(text) == 1:
        return f"%{ord(text):02X}"
    decoded = chr(int(text[1:], 16))
    return decoded if decoded in _UNRESERVED else text.upper()


def _plain_query(canonical: str) -> str:
    path, mark, query = canonical.partition("?")
    return path + mark + _ENCODED_DELIMITER.sub(lambda match: _PLAIN_IN_QUERY[match[0]], query)
