"""The records that the packages pass to each other.

Everything here is frozen: a record is made once, by the part that knows, and read by the others. The web's misbehaviour
is data (`Failure`), never an exception. Times are Unix seconds (UTC), durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from crawler.partly_decoded import PartlyDecoded
from crawler.statically_frozen import dataclass

if TYPE_CHECKING:
    from crawler.exchange import Exchange


class UrlStatus(StrEnum):
    """Where a URL stands. The words are stored as they are; other people's SQL relies on them."""

    PENDING = "pending"  # to be fetched; also while a request is under way: nothing 'in flight' is ever stored
    FETCHED = "fetched"  # answered with something that we accept (2xx), or unchanged (304)
    REDIRECTED = "redirected"  # answered with another URL, which has a row of its own
    EXCLUDED = "excluded"  # not wanted; the cause is an `ExclusionReason`
    GONE = "gone"  # 404 or 410
    FAILED = "failed"  # given up; the cause is a `FailureKind`, or `HTTP_STATUS`


ANSWERED = frozenset({UrlStatus.FETCHED, UrlStatus.REDIRECTED, UrlStatus.GONE})


class UrlKind(StrEnum):
    """What a URL is fetched for."""

    PAGE = "page"
    ROBOTS = "robots"
    SITEMAP = "sitemap"  # also an index, and a list of URLs as text
    FEED = "feed"  # RSS, Atom, JSON Feed
    CHECK = "check"  # only to learn whether it is there: it has a row in `checks`, and none of this kind in `urls`


LISTINGS = frozenset({UrlKind.SITEMAP, UrlKind.FEED})  # fetched for the URLs that they name, never stored as pages


class FailureKind(StrEnum):
    """Why an attempt brought no answer. The words are stored as they are."""

    DNS = "dns"  # the name does not resolve
    CONNECT = "connect"  # no TCP connection
    TLS = "tls"  # the certificate or the handshake was refused
    TIMEOUT = "timeout"  # a deadline passed: connect, read or total
    DISCONNECTED = "disconnected"  # the connection ended before the answer did
    TOO_LARGE = "too_large"  # the header section exceeds the limits
    BAD_RESPONSE = "bad_response"  # not HTTP, or HTTP that contradicts itself
    BLOCKED_ADDRESS = "blocked_address"  # the address guard refused to connect
    PROXY = "proxy"  # the user's proxy is down or refuses us: no fault of the site
    PARSE_TIMEOUT = "parse_timeout"  # the reader took too long over the body
    HOOK = "hook"  # a hook of the program that crawls raised an exception


class Blame(StrEnum):
    """Whom an attempt speaks against: as little as possible (see `policy.outcome`)."""

    URL = "url"
    ORIGIN = "origin"  # scheme, host and port
    HOST = "host"


HTTP_STATUS = "http"  # the cause where an answer has failed a URL; the detail is its status


class ExclusionReason(StrEnum):
    """What keeps a URL out. The words are stored as they are; what begins with "trap" may never end."""

    SCOPE = "scope"
    INCLUDE = "include"
    EXCLUDE = "exclude"
    DEPTH = "depth"
    HOPS = "hops"  # redirects in a row
    LENGTH = "length"
    PORT = "port"  # one on which no web server is to be expected
    NOFOLLOW = "nofollow"
    ROBOTS = "robots"  # the detail is the rule, with its line
    HOOK = "hook"  # of the program that crawls; the detail is its name, and why
    NO_SITEMAP = "no sitemap"  # was guessed, and is not there
    PATH_SEGMENTS = "trap: path segments"
    REPEATED_PATH_SEGMENTS = "trap: repeated path segments"
    QUERY_PARAMETERS = "trap: query parameters"
    REPEATED_QUERY_PARAMETERS = "trap: repeated query parameters"
    SESSION_IDS = "trap: session ids"
    PAGES_ALIKE = "trap: pages alike in"  # the detail is the place
    URLS_OF_HOST = "trap: URLs of the host"
    HOSTS_OF_DOMAIN = "trap: hosts of the domain"  # the detail is the domain


class Reason(str):
    """Why a URL is excluded, has failed or waits: the text that people read, and what it is made of.

    `cause` is an `ExclusionReason`, a `FailureKind` or `HTTP_STATUS`; `detail` is what it speaks of, if anything.
    """

    __slots__ = ("cause", "detail")

    cause: str
    detail: str | None

    def __new__(cls, cause: str, detail: str | None = None) -> Reason:
        """'robots: line 3: Disallow: /x' of ROBOTS and 'line 3: Disallow: /x', 'http 500', 'scope'."""
        between = ": " if cause == ExclusionReason.ROBOTS else " "
        reason = super().__new__(cls, cause if detail is None else f"{cause}{between}{detail}")
        reason.cause = cause
        reason.detail = detail
        return reason


class EndReason(StrEnum):
    """Why a run ended. The words are stored as they are."""

    COMPLETE = "complete"  # nothing is left to be fetched
    WAITING = "waiting"  # the rest is on hosts or origins that are left alone for longer than a run waits
    MAX_PAGES = "max_pages"
    MAX_REQUESTS = "max_requests"
    MAX_RUNTIME = "max_runtime"
    INTERRUPTED = "interrupted"  # by SIGINT
    TERMINATED = "terminated"  # by SIGTERM or SIGHUP
    STOPPED = "stopped"  # by `crawler stop`, or by a program that uses the library
    OUTPUT_CLOSED = "output_closed"  # who read the pages as they came (`--jsonl -`) has left
    FAILED = "failed"
    KILLED = "killed"  # told by the next run


class CheckVerdict(StrEnum):
    """What a check has shown of a URL. The words are stored as they are; see `policy.checking`."""

    GOOD = "good"
    GONE = "gone"  # 404 or 410
    BLOCKED = "blocked"  # the server lets people in, perhaps, but not us
    UNREACHABLE = "unreachable"  # no answer
    FAILED = "failed"  # any other answer: 500, 400, no HTTP
    LOOP = "loop"  # redirects without an end
    NOT_ASKED = "not_asked"  # robots.txt, the address guard or an option forbids it
    REDIRECTED = "redirected"  # the end of its redirects says what it is


class Change(StrEnum):
    """What a visit has changed for a URL. The words are those of the summary and the metrics."""

    NEW = "new"  # fetched for the first time
    CHANGED = "changed"  # a new version, or it redirects now, or no longer
    METADATA = "metadata"  # a new version whose text and links are those of the one before
    UNCHANGED = "unchanged"
    GONE = "gone"  # 404 or 410, and was answered otherwise before
    NEWLY_FAILED = "newly_failed"
    HEALED = "healed"  # answered, after it had failed or gone


class LoggedChange(StrEnum):
    """What the log of changes tells: of a version, or of where a URL stands. The words are stored as they are.

    An outage alone is no change: it takes two visits that fail for what was answered before to be `BROKEN`, and nothing
    but an answer of its host makes a page `GONE` or `MOVED`.
    """

    NEW = "new"  # the first version
    CHANGED = "changed"  # another text, other links or robots directives
    METADATA = "metadata"  # nothing but that
    GONE = "gone"  # a page that answers 404 or 410 now
    MOVED = "moved"  # a page that redirects now
    BACK = "back"  # answered as a page again
    WITHDRAWN = "withdrawn"  # a page that the rules or the options exclude now
    BROKEN = "broken"  # failed, or 404 or 410 where no page ever was
    HEALED = "healed"  # answered, after it was broken; or excluded, and so no longer of interest


STANDING = frozenset({LoggedChange.GONE, LoggedChange.MOVED, LoggedChange.BACK, LoggedChange.WITHDRAWN})


class FoundBy(StrEnum):
    """How a URL was first found. These words are stored in `urls.found_by`."""

    SEED = "seed"  # named by the user
    LINK = "link"
    REDIRECT = "redirect"
    REFRESH = "refresh"  # a `<meta http-equiv=refresh>`, or the header
    CANONICAL = "canonical"
    SITEMAP = "sitemap"
    ROBOTS = "robots"  # a sitemap that robots.txt names
    FEED = "feed"
    GUESS = "guess"  # nobody named it: another scheme of a seed, a place where a sitemap usually stands


class Difference(StrEnum):  # whose hash is that of its text: an Enum's own is computed in Python
    """How a page that was read differs from the version of it that is stored; see `policy.change.difference`."""

    NOTHING = "nothing"
    READER = "reader"  # the page is what it was: today's reader sees it otherwise
    UNKNOWN = "unknown"  # an earlier reader read the version, and its body was not kept
    FIRST = "first"  # no version is stored
    METADATA = "metadata"
    PRICE_OR_DATE = "price or date"  # of the metadata alone
    CONTENT = "content"


class SeedMark(IntEnum):
    """Whether a URL was named by the user. A mark that is true makes the URL's host a root of the scope."""

    GUESS = -1  # named by nobody: a place where sitemaps often stand
    NO = 0
    SEED_REDIRECT = 1  # what a seed redirects to: not named by the user, so that it is trusted with nothing
    YES = 2  # a seed
    BARE = 3  # a seed given without a scheme: https is tried first, then http

    def __bool__(self) -> bool:
        """Whether a seed is or leads there."""
        return self > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSeed:
    """A seed that could not be fetched, or what one redirects to. `status_code` and `message` are those of its latest
    attempt; if there was none because robots.txt failed (`at_robots`), of that.
    """

    url: str
    status: UrlStatus
    reason: str | None = None
    status_code: int | None = None
    message: str | None = None
    at_robots: bool = False

    @property
    def why(self) -> str:
        """'http 404', 'robots: line 2: Disallow: /', 'tls: certificate verify failed', 'robots.txt: http 503'."""
        if self.status is UrlStatus.EXCLUDED and self.reason:
            return self.reason
        answer = None if self.status_code is None else f"http {self.status_code}"
        parts = (
            "robots.txt" if self.at_robots and self.reason is None else None,
            self.reason or answer or (None if self.message else "not tried"),
            self.message,
        )
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRate:
    """How often a URL changes: so many changes in so many seconds (a Gamma distribution; see policy/recrawl.py)."""

    changes: float
    watched_s: float


HUB_NEW_LINKS = 0.25  # from so many new URLs a version on, on a moving average, a page is a hub


LIMIT_RAISED = 0  # in `links_cut_at`: there may be room now


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousVisit:
    """What is known of a URL from earlier visits. `fetched_at` is the newest that had a result.

    `content_hash` None: no version is stored; `truncated` and `has_body` speak of the newest one, and so do
    `metadata_hash` (None: of a version that kept none) and `reader_version` (see `Page`). `new_links`: how many
    unknown URLs a new version brings, on a moving average. `promise_s` is the time for which the server said that its
    answer holds, -1 where it broke such a promise. `hinted`: a sitemap said that it has changed since. `links_cut_at`:
    the number of URLs that its hosts could have when links of it were not stored for that (None: all were).
    `unread_type`: the Content-Type of a document that was no page (None: it was one, or nobody knows).
    """

    status: UrlStatus
    fetched_at: float
    content_hash: bytes | None = None
    metadata_hash: bytes | None = None
    reader_version: int = 1
    truncated: bool = False
    has_body: bool = False
    unread_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    rate: ChangeRate | None = None
    new_links: float = 0.0
    promise_s: float | None = None
    hinted: bool = False
    links_cut_at: int | None = None

    @property
    def lacks_links(self) -> bool:
        """Whether links of it are to be stored by now, so that it is asked for as if it had never been read."""
        return self.links_cut_at == LIMIT_RAISED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """A URL that has failed since its last answer, or ever: since when, and why its last visit failed.

    `reason` None: its first visit that fails is not over, since it is being retried.
    """

    since: float
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisit:
    """When a run with `--max-age` looks at a URL again, and what is known by now of how it changes.

    `rate` None: the visit failed, and showed nothing of that.
    """

    at: float
    rate: ChangeRate | None = None
    promise_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What a run fetches again: URLs last fetched before `fetched_before`, or planned before `revisit_before` (None: no
    plans).

    Neither is later than `started_at`, the start of the run, so that nothing is fetched twice in it: what the run
    fetches in the very moment of its start is not older than that. What failed and was never answered is due where it
    was planned before `started_at`.
    """

    started_at: float
    fetched_before: float
    revisit_before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claim:
    """One URL lent to a worker. `attempts` counts those that failed since the last success; `refusals` are answers of
    429 and 503 that counted as none, since it is in memory. `has_failed`: it was given up.

    `url_id` is 0 where the URL has no row yet (a robots.txt). `previous` None: it was never answered. A claim equals
    itself alone: it stands for one loan.
    """

    url_id: int
    url: str
    host_id: int
    host: str
    origin: str
    kind: UrlKind = UrlKind.PAGE
    depth: int = 0
    hops: int = 0
    attempts: int = 0
    refusals: int = 0
    seed: SeedMark = SeedMark.NO
    has_failed: bool = False
    failing: Failing | None = None
    previous: PreviousVisit | None = None

    @property
    def is_hub(self) -> bool:
        """Whether new pages are found here: it is a seed, or its versions bring new links."""
        return self.seed > 0 or (self.previous is not None and self.previous.new_links >= HUB_NEW_LINKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer. `body` is decoded (no Content-Encoding left) and may be cut at the size limit.

    `read` is False where the type is not one that we read: then `body` is empty and `size` is the declared
    Content-Length (None where none was declared). Header values are as sent, None where absent; `max_age_s` is
    Cache-Control's, in seconds. `head` holds the header fields as they came, names and values, in their order; empty
    where they are not kept. `first_byte_s` is the server's own time: from the sent request to the first byte of the
    answer, without what our event loop was late; None where it is not known.
    """

    url: str
    status_code: int
    body: bytes = b""
    read: bool = True
    truncated: bool = False
    size: int | None = None
    content_type: str | None = None
    location: str | None = None
    refresh: str | None = None
    retry_after: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    date: str | None = None
    max_age_s: float | None = None
    robots_tags: tuple[str, ...] = ()
    link_fields: tuple[str, ...] = ()
    head: tuple[tuple[bytes, bytes], ...] = ()
    address: str | None = None
    started_at: float = 0.0
    elapsed_s: float = 0.0
    first_byte_s: float | None = None
    reused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An attempt that brought no answer. `message` is for people; `sent` says whether the request left at all,
    `answered` whether the head of an answer came; `first_byte_s`: see `Response`, None where not a byte came.
    """

    url: str
    kind: FailureKind
    message: str = ""
    address: str | None = None
    started_at: float = 0.0
    elapsed_s: float = 0.0
    first_byte_s: float | None = None
    reused: bool = False
    sent: bool = False
    answered: bool = False

    @property
    def is_of_kept_connection(self) -> bool:
        """Whether the request went out on a connection that was open already, and that turned out to be of no use."""
        return self.reused and not self.answered and self.kind in (FailureKind.DISCONNECTED, FailureKind.BAD_RESPONSE)


class Link(NamedTuple):
    """A link as found on a page. `url` is absolute, normalized, without fragment.

    A tuple, not a dataclass: there are a hundred on a page, and a tuple is made in a third of the time.
    """

    url: str
    anchor: str = ""
    rel: str = ""  # the tokens as written, lower case, one space between
    nofollow: bool = False


class Links(Sequence[Link]):
    """The links of a page by columns, as they travel and are stored: a `Link` is made when one is looked at.

    It equals a tuple of the same links.
    """

    __slots__ = ("anchors", "nofollows", "rels", "urls")

    def __init__(
        self, urls: Sequence[str], anchors: Sequence[str], rels: Sequence[str], nofollows: Sequence[bool]
    ) -> None:
        if not len(urls) == len(anchors) == len(rels) == len(nofollows):
            raise ValueError("the columns of links differ in length")
        self.urls, self.anchors, self.rels, self.nofollows = urls, anchors, rels, nofollows

    def __len__(self) -> int:
        return len(self.urls)

    def __iter__(self) -> Iterator[Link]:
        return map(Link, self.urls, self.anchors, self.rels, self.nofollows)

    @overload
    def __getitem__(self, place: int) -> Link: ...
    @overload
    def __getitem__(self, place: slice) -> Links: ...
    def __getitem__(self, place: int | slice) -> Link | Links:
        if isinstance(place, slice):
            return Links(self.urls[place], self.anchors[place], self.rels[place], self.nofollows[place])
        return Link(self.urls[place], self.anchors[place], self.rels[place], self.nofollows[place])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Links | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def columns_of(links: Sequence[Link]) -> Links:
    """The same links by columns."""
    return links if isinstance(links, Links) else Links(*(zip(*links, strict=True) if links else ((), (), (), ())))


class LinkDetail(NamedTuple):
    """What the page says of a link beyond its `Link`: one that has a fragment, or leads where an earlier one leads.

    `link` is the place of its `Link` in `Page.links`, counted from 0; `position` that of this link among all elements
    that link, in document order.
    """

    link: int
    position: int
    anchor: str = ""
    fragment: str | None = None  # as written, without its '#'


class Resource(NamedTuple):
    """What a page shows or loads: an image, script, stylesheet and the like. `url` is absolute and normalized.

    `kind` is image, script, stylesheet, video, audio, embed or font; `alt`, `width` and `height` are as written.
    """

    kind: str
    url: str
    alt: str | None = None
    width: str | None = None
    height: str | None = None


HREFLANG, FEED = "hreflang", "feed"  # kinds of alternates


class Alternate(NamedTuple):
    """Another form of a page that it names: `kind` is hreflang, feed, amphtml or alternate (any other).

    `language` is as written, in lower case ('x-default' included).
    """

    url: str
    kind: str
    language: str | None = None
    media_type: str | None = None
    title: str | None = None


class Extract(NamedTuple):
    """What an extraction rule has found on a page that it is for: JSON objects, by field; perhaps none.

    `lacking` are the required fields that some of its elements had not: these give no row. `cut`: there was more than
    is kept.
    """

    rule: str
    rows: Sequence[Mapping[str, Any]] = ()
    lacking: Sequence[str] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """A body as it is kept: `size` counts the bytes before compression, `digest` is their hash."""

    digest: bytes
    size: int
    zstd: bytes


PRICES_AND_DATES_BYTES = 8  # the last ones of a `metadata_hash`: they cover no more than those


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierBody:
    """The body of a version, as it is stored, and the Content-Type with which it came."""

    digest: bytes
    zstd: bytes
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFeeds:
    """The feeds that a page links to, and whether the page forbids following its links."""

    urls: tuple[str, ...] = ()
    nofollow: bool = False

    @classmethod
    def of(cls, alternates: Iterable[Alternate], *, nofollow: bool) -> NamedFeeds:
        """Pick the feeds from the alternates of a page."""
        return cls(urls=tuple(one.url for one in alternates if one.kind == FEED), nofollow=nofollow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(PartlyDecoded):
    """What the reader made of a document. Text holds no NULs and no lone surrogates.

    `refresh_url` is where a `<meta http-equiv=refresh>` leads, or the header; `refresh_is_redirect`: soon, and not
    readers without scripts alone. `content_hash` covers text, links and
    what is asked of robots: two versions with the same hash say the same. `links` is a tuple, or `Links` on its way
    through a crawl. `links_total` exceeds `len(links)` where the page holds more than are kept. `images_hash` covers
    where its images come from; empty where it has none.
    `metadata_hash` covers title, description, canonical URL, language, robots directives, hreflang, JSON-LD, Open
    Graph, dates and author, its last bytes prices and dates alone; empty where none was made. `reader_version` is that
    of the reader; 1 stands for those of 0.1.0, which left all fields from it on empty. `content_type` is the media type
    that it was read as; `encoding_source` is what named the encoding: bom, header, meta, xml, or where nothing did
    utf-8 (the bytes are), guess or default. `metas` are the `<meta>` elements by name, in lower case: a text, or a list
    of texts where it is repeated. `extracts` are those of the extraction rules that are for this URL, `fields`
    what hooks or a reader of the user's have added: JSON. `published_at` and `modified_at` are Unix seconds. None: the
    page does not say.

    The fields that are not compared tell where the page is from. They are filled when a page is delivered to whoever
    iterates a crawl, or read from a database; None or empty where they are not known. `page_id` is its row in `pages`
    (a later version has a greater one), `run_id` the run that stored it, `status` that of the HTTP response,
    `fetched_at` when that was requested (Unix seconds), `elapsed_s` how long it took, `size_bytes` the size of its
    decoded body, `truncated` whether that was cut at the size limit, and `depth` the number of links from the nearest
    seed. `headers` are the response's fields by name, in lower case: a text, or a list of texts where it is repeated.
    """

    url: str
    page_id: int | None = field(default=None, compare=False)
    run_id: int | None = field(default=None, compare=False)
    status: int | None = field(default=None, compare=False)
    fetched_at: float | None = field(default=None, compare=False)
    elapsed_s: float | None = field(default=None, compare=False)
    size_bytes: int | None = field(default=None, compare=False)
    truncated: bool | None = field(default=None, compare=False)
    depth: int | None = field(default=None, compare=False)
    headers: Mapping[str, str | list[str]] = field(default_factory=dict, compare=False)
    title: str | None = None
    description: str | None = None
    language: str | None = None
    canonical_url: str | None = None
    text: str = ""
    encoding: str = "utf-8"
    headings: tuple[tuple[int, str], ...] = ()
    open_graph: Mapping[str, str | list[str]] = field(default_factory=dict)
    json_ld: tuple[str, ...] = ()
    links: Sequence[Link] = ()
    links_total: int = 0
    refresh_url: str | None = None
    refresh_is_redirect: bool = False
    noindex: bool = False
    nofollow: bool = False
    extracts: tuple[Extract, ...] = ()
    images_hash: bytes = b""
    content_hash: bytes = b""
    reader_version: int = 1
    metadata_hash: bytes = b""
    content_type: str | None = None
    encoding_source: str | None = None
    metas: Mapping[str, str | list[str]] = field(default_factory=dict)
    author: str | None = None
    published_at: float | None = None
    modified_at: float | None = None
    alternates: tuple[Alternate, ...] = ()
    next_url: str | None = None
    prev_url: str | None = None
    site_name: str | None = None
    icon_url: str | None = None
    resources: tuple[Resource, ...] = ()
    link_details: tuple[LinkDetail, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    def asdict(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """The page as data for JSON, the same for a page that was just committed and for one read from a database, but
        for the order of links, which is not stored.

        The keys are the names of the fields, but for `refresh_url`, `refresh_is_redirect` and `images_hash`, which are
        not stored. Links, headings and the like are objects, hashes hexadecimal digits, times Unix seconds (UTC).
        `names`: only these, in that order.
        """
        data = {name: _plain(getattr(self, name)) for name in (_TOLD if names is None else names)}
        if "extracts" in data:
            data["extracts"] = {one.rule: list(one.rows) for one in self.extracts}
        if "headings" in data:
            data["headings"] = [{"level": level, "text": text} for level, text in self.headings]
        return data


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _SCALARS:  # most are, and to ask whether something is a Mapping takes longer than all the rest
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | Links):
        return [
            dict(zip(part._fields, part, strict=True)) if hasattr(part, "_fields") else _plain(part) for part in value
        ]
    return value


OF_DELIVERY = frozenset(one.name for one in fields(Page) if not one.compare)  # what no reader of documents can tell
NEVER_STORED = frozenset({"refresh_url", "refresh_is_redirect", "images_hash"})  # followed at once; for a rule alone
_TOLD = tuple(one.name for one in fields(Page) if one.name not in NEVER_STORED)


LOOK_BYTES = 4096  # of a body, from its beginning: they tell what it is, and how to take the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class SitemapEntry:
    """One URL of a sitemap, index, feed or list. `lastmod` is Unix seconds; `is_sitemap` marks an index's children.
    `facts` is JSON: what else is said of the URL (priority, changefreq, alternates, images, title); None: nothing.
    """

    url: str
    lastmod: float | None = None
    is_sitemap: bool = False
    facts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the reader made of a sitemap, index, feed or list of URLs. `kind` is SITEMAP or FEED. `cut` says, for
    people, why entries were left out; None where all are there.
    """

    kind: UrlKind = UrlKind.SITEMAP
    entries: tuple[SitemapEntry, ...] = ()
    cut: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that was found and judged: either to be fetched (pending) or excluded, with the reason.

    `found_by` None: not known. What it was found on is the document of the `Result` that holds it.
    """

    url: str
    host: str
    kind: UrlKind = UrlKind.PAGE
    depth: int = 0
    hops: int = 0
    seed: SeedMark = SeedMark.NO
    reason: Reason | None = None
    found_by: FoundBy | None = None

    @property
    def status(self) -> UrlStatus:
        """The status with which the URL is stored."""
        return UrlStatus.EXCLUDED if self.reason else UrlStatus.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferredTarget(Target):
    """One that is due as if it had been found so many seconds earlier: hardly any crawl has one."""

    priority_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a URL after an attempt, and of whoever is to blame.

    `retry_in_s` None plans nothing more. `blame` None: nobody's fault. `pause_s` asks the origin or the host, whichever
    is to blame, to be left alone that long. `goes_first`: after that pause the URL is asked for before others.
    """

    status: UrlStatus
    reason: Reason | None = None
    attempts: int = 0
    retry_in_s: float | None = None
    blame: Blame | None = None
    pause_s: float | None = None
    goes_first: bool = False


MAX_COPY_AGE_S = 30 * 86400.0  # of the last copy of a robots.txt, where no newer one can be had (RFC 9309, 2.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsCopy:
    """The robots.txt of one origin as it is kept, and until when the origin is left alone.

    `status_code` is the last answer's, None where there was none. `body` is the last copy, read at `fetched_at`, None
    where none was ever read: `failures` attempts since have brought no other. Until `expires_at` it need not be asked
    for again.
    """

    origin: str
    status_code: int | None = None
    body: bytes | None = None
    fetched_at: float = 0.0
    expires_at: float = 0.0
    failures: int = 0
    paused_until: float = 0.0
    pause_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A host, or one of its origins, is left alone until then (Unix seconds), and why ("http 503", "dns" ...)."""

    name: str  # of the host, or the origin
    blame: Blame
    until: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingUrls:
    """URLs that responded before and fail for now: how many, the earliest `since` (None: there are none), and why."""

    urls: int = 0
    since: float | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What is remembered of a host. Times are Unix seconds; `next_due_at` None: nothing is planned.

    `run_pages` and `run_requests` are those of this run. `pace_s` is the delay to which adaptive pacing has slowed it;
    None: it was not slowed. `redesigned_at`: when all of its pages were last found to have changed at once.
    """

    host_id: int
    name: str
    next_due_at: float | None = None
    back_off_until: float = 0.0
    failures: int = 0
    run_pages: int = 0
    run_requests: int = 0
    pace_s: float | None = None
    redesigned_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is remembered of the looks at pages of one place of a host (see `policy.likeness.Looks`).

    `is_of_run`: this run has added to it; else it was left by an earlier one.
    """

    host_id: int
    name: str
    looks: float
    scores: Sequence[float]
    is_of_run: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What is stored of a check that is over. `redirect_url`: where it leads, for REDIRECTED; `cause` as people read
    it, None where all is well.
    """

    verdict: CheckVerdict
    cause: Reason | None = None
    redirect_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a worker brings back of one claim: what it saw, nothing decided.

    `conditional`: the document was asked for only if it had changed, so that a 304 answers. `listing`: it is a sitemap
    or a feed, whatever it was asked for as. `earlier` is what today's reader makes of the body that is stored, where it
    was another that read it. `is_doubtful`: it is the answer to a HEAD, and could not be asked for by GET. `veto`: why
    a hook did not let the request be made; then `attempt` is none. `exchanges` are its requests, the last one last,
    where they are written down.
    """

    claim: Claim
    attempt: Response | Failure
    conditional: bool = False
    is_doubtful: bool = False
    page: Page | None = None
    earlier: Page | None = None
    body: StoredBody | None = None
    listing: Listing | None = None
    redirect_url: str | None = None
    veto: Reason | None = None
    exchanges: tuple[Exchange, ...] = ()


class Listed(NamedTuple):
    """A URL that a sitemap or feed lists, with the decision about it (`target`), and what the listing says of it."""

    target: Target
    entry: SitemapEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the frontier made of a visit: all that is stored of one claim, committed as a whole or not at all.

    `attempt` None: decided without a request. `link_targets` are the page's links, judged, in their order; `targets` is
    what else was found. `origin_failed` fails all that is pending for the claim's origin, for a run with `--max-age` to
    look at again from `origin_revisit_at` on. `keeps`: the status that the URL keeps, as of its last answer, though
    this visit brought none. Times are Unix seconds. A `body` without a `page` belongs to the version that is stored
    already, and so does `reread`, a page that says what it said: it brings what makes no version up to date, and the
    links and their details where `link_targets` are given; where the `difference` is the reader's, all of it takes the
    place of what was read. `listed` is what a sitemap or feed names, and
    `forgets_listed`: what an earlier version named is no longer so. `is_part`: more of that follows, and this changes
    nothing of the claim's own URL. `cut`: why not all of a sitemap was read, for people. `kind`: what the URL is by
    now, None: what it was. `closure` is for the claim's host or origin. `pace_s`: see `HostRecord`; 0: the host is
    slowed no more, None: nothing is said. `is_kept`: the frontier lends the URL again by itself. `is_postponed`:
    nothing changes but `next_fetch_at`. `requests` were sent for it: more than one where a connection had been closed,
    a robots.txt redirects, or a HEAD was not believed. `place`: what is known by now of the place of the claim's URL.
    Of a check, all is stored in `checks`; `checked` None: it is not over. With `origin_failed`, `checked` is what
    becomes of the checks of the origin that are due. `preferred` are those of the targets that have a priority.
    `exchanges` are the visit's.
    """

    claim: Claim
    verdict: Verdict
    attempt: Response | Failure | None = None
    page: Page | None = None
    body: StoredBody | None = None
    reread: Page | None = None
    difference: Difference = Difference.NOTHING
    redirect_url: str | None = None
    link_targets: tuple[Target, ...] = ()
    targets: tuple[Target, ...] = ()
    robots: RobotsCopy | None = None
    origin_failed: FailureKind | None = None
    origin_revisit_at: float | None = None
    failing: Failing | None = None
    keeps: UrlStatus | None = None
    next_fetch_at: float | None = None
    revisit: Revisit | None = None
    listed: tuple[Listed, ...] = ()
    forgets_listed: bool = False
    is_part: bool = False
    cut: str | None = None
    kind: UrlKind | None = None
    closure: Closure | None = None
    host_failures: int | None = None
    pace_s: float | None = None
    is_kept: bool = False
    is_postponed: bool = False
    checked: Checked | None = None
    requests: int = 0
    place: Place | None = None
    preferred: Sequence[PreferredTarget] = ()
    exchanges: tuple[Exchange, ...] = ()
