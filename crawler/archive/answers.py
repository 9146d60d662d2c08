"""What the archive answers with. Times are Unix seconds (UTC), durations are seconds, sizes are bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crawler.records import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlState:
    """What is known of one URL.

    `status` is a `UrlStatus`, `reason` why it was excluded or failed; `kind` is page, robots, sitemap or feed. `depth`
    counts links from the nearest seed, `hops` the redirects in a row that led here, `attempts` those that failed since
    the last success. `is_seed`: the user named it, or a seed redirects to it. `fetched_at` is the time of its latest
    response, `next_fetch_at` when it is due, `revisit_at` when `--max-age auto` checks it again; None if there is no
    such time. `has_page`: a version of it is stored. `found_by` (a `FoundBy`) is how it was found first, `found_on` the
    URL that named it; None if that is not known, or for a seed. `failing_since`: the first failed attempt since its
    latest response, `failing_reason`: why its latest visit failed; None if it did not. `unread_type`: the Content-Type
    of a document that was no page.
    """

    url: str
    kind: str
    status: str
    reason: str | None
    depth: int
    hops: int
    is_seed: bool
    attempts: int
    discovered_at: float
    fetched_at: float | None
    next_fetch_at: float | None
    revisit_at: float | None
    has_page: bool
    found_by: str | None
    found_on: str | None
    failing_since: float | None
    failing_reason: str | None
    unread_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a page, first seen by run `run_id` at `seen_at`. Equal `content_hash`: they say the same.

    `page_id` is its row in `pages`. None: what `crawler prune` has removed with the attempt.
    """

    run_id: int
    seen_at: float
    newest: bool
    status_code: int | None
    content_type: str | None
    size_bytes: int | None
    truncated: bool
    title: str | None
    links_total: int
    content_hash: bytes
    page_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to fetch a URL.

    `status_code` None: there was no response; `failure` (a `FailureKind`) and `message` say why. `size_bytes` counts
    the decoded body; if it was not read, it is what the server declared. `fetch_id` is its row in `fetches`.
    """

    run_id: int
    started_at: float
    elapsed_s: float
    status_code: int | None
    failure: str | None
    message: str | None
    content_type: str | None
    size_bytes: int | None
    redirect_url: str | None
    address: str | None
    fetch_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutLink:
    """A link of a page; `status` (a `UrlStatus`) is that of its target, `reason` why that was excluded or failed."""

    target_url: str
    anchor: str
    rel: str
    nofollow: bool
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InLink:
    """A link to a URL, from a current page."""

    page_url: str
    anchor: str
    rel: str
    nofollow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingUrl:
    """A URL that failed at its latest visit, but responded before, and keeps the `status` (a `UrlStatus`) of that.

    `failing_reason` is why: a `FailureKind` or "http <status>"; `failing_since` is its first failed attempt since
    `fetched_at`, its last response, and `attempts` counts those. It is due again at `next_fetch_at`.
    """

    url: str
    status: str
    failing_since: float
    failing_reason: str
    attempts: int
    fetched_at: float | None
    next_fetch_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedUrl:
    """A URL that failed: `reason` is a `FailureKind` or "http <status>".

    `fetched_at` None: it never responded. `next_fetch_at` None: no run retries it by itself.
    """

    url: str
    reason: str | None
    attempts: int
    fetched_at: float | None
    next_fetch_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlDetails:
    """All that is known of one URL.

    `versions` are numbered from 1, oldest first; `page` is number `version`, None if none is stored. `headers` are
    those of the response with that version; without one, of the latest response. `attempts` are oldest first.
    `links_from` and `links_to` are those of current pages, `links_to` as many as were asked for, and `more_links_to`
    if there are others. `sitemaps` are the sitemaps and feeds that name it.
    """

    state: UrlState
    versions: list[Version]
    version: int | None
    page: Page | None
    headers: list[tuple[str, str]]
    attempts: list[Attempt]
    links_from: list[OutLink]
    links_to: list[InLink]
    more_links_to: bool
    sitemaps: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A URL on the way from a seed, and how it was found (a `FoundBy`; None if that is not known)."""

    url: str
    found_by: str | None
    discovered_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsWord:
    """What the stored robots.txt says of a URL to `agent`: the `rule` in `line` decides; None: no rule matches.

    `fetched_at` None: it was never read. `status_code` is that of its latest response; `failures` counts the attempts
    since that brought no other copy.
    """

    url: str
    agent: str
    status_code: int | None
    fetched_at: float | None
    failures: int
    allowed: bool
    line: int | None
    rule: str | None
    crawl_delay_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting that applies to a URL's host: the option, its value as it would be written, and where it is from."""

    option: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A host or an origin is left alone until then, and why; `reason` None: the delay between two requests."""

    name: str
    until: float
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """All that decides about a URL.

    `state` None: it was never seen. `explanation` says in words why it was excluded. `ruling` is why it may not enter
    by the rules of now (the stored robots.txt included), `ruling_explained` the same in words; None: it may.
    `address_refused` is why nothing may connect to the address in it; None: that may be, or it names a host. `chain`
    leads from a seed to it; `linked_from` is a page that links to it, where the chain is not known. `unstored_links`:
    links to further URLs of its host, which have no row because of `--max-urls-per-host`. `last_limit`: the option that
    ended the last run, or its part of this host, before the URL's turn. `is_foretold`: there is no crawl yet.
    """

    url: str
    state: UrlState | None = None
    explanation: str | None = None
    ruling: str | None = None
    ruling_explained: str | None = None
    address_refused: str | None = None
    redirected_to: UrlState | None = None
    chain: Sequence[Step] = ()
    linked_from: str | None = None
    robots: RobotsWord
    attempts: Sequence[Attempt] = ()
    pauses: Sequence[Pause] = ()
    settings: Sequence[Setting] = ()
    unstored_links: int = 0
    last_limit: str | None = None
    is_foretold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUrl:
    """A URL that was only checked (`crawl --check`); the fields are the columns of the view `checked_urls`.

    `verdict` is a `CheckVerdict`, or 'pending'; through redirects it is that of `end_url`. `hops` None: these do not
    end. `flaky`: its last ten verdicts changed between good and not good more than once. `kind` is external, resource,
    both, or redirect: only redirects of others lead there.
    """

    url: str
    host: str
    kind: str
    verdict: str
    cause: str | None
    status_code: int | None
    end_url: str | None
    hops: int | None
    checked_at: float | None
    flaky: bool
    good_at: float | None
    broken_since: float | None
    run_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A piece of a page's text. `marks`: where it matches, each from a place up to another."""

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A page that a search found: its newest version, `page_id`. The higher its `score`, the better it matches.

    `title` is empty where it has none; `snippet` is the part of its text that matches best, or where the text begins.
    Both are in Unicode's form NFKC. `language` is as the page declares it.
    """

    url: str
    title: Excerpt
    snippet: Excerpt
    language: str | None
    score: float
    page_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """The best `hits`, the best first, of `total` pages that match by the index.

    `is_total_known` False: there are more, too many to rank; those stored first were. `behind`: so many page versions
    at the most are not in the index yet; another search goes on with them.
    """

    hits: tuple[SearchHit, ...]
    total: int
    is_total_known: bool
    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate:
    """A page with nearly the same text as another one; of these `copies`, `first_url` was found first.

    `distance`: in so many of 64 bits their fingerprints differ. `words` are those of its text.
    """

    url: str
    first_url: str
    distance: int
    copies: int
    words: int
    title: str | None
    canonical_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPage:
    """A page at its `place` by PageRank; a `rank` of 1 is the average. `inlinks` lead to it from other pages."""

    url: str
    rank: float
    inlinks: int
    title: str | None
    place: int
