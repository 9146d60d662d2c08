"""The questions of an audit, in the order of a report: which view answers each, and how its answer is shown.

Invariant: only declarations. A new finding is a view (views.sql) and an entry here, and every format has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from crawler.archive.audit.model import Column, Kind, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a question needs: a query with a row. `unless`: why there is no answer if it has none."""

    query: str
    unless: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question to a view.

    `view` is queried where `where` holds, in the `order` that puts first what matters most. A finding is the same as
    one of another day where the columns of `key` have the same values. `listed_by` is the view that `crawler list`
    prints, if it is another one. Without one of its `needs` it is not answered. `has_sources`: the first column is a
    URL to which pages lead that the report names, the last one how many links do.
    """

    name: str
    chapter: str
    title: str
    explanation: str
    severity: Severity
    view: str
    columns: Sequence[Column]
    key: Sequence[str]
    order: str
    where: str = "TRUE"
    listed_by: str = ""
    has_sources: bool = False
    needs: Sequence[Need] = ()


_MAX_PLACES = 30_000  # pages that are parsed for the places on them: 10 s of CPU

_URL = Column(name="url", title="Page", kind=Kind.URL)
_TITLE = Column(name="title", title="Title")
_DEPTH = Column(name="depth", title="Depth", kind=Kind.COUNT)
_REASON = Column(name="reason", title="Reason")
_PROBLEM = Column(name="problem", title="Problem")

_LINKS, _FAILURES, _CONTENT, _SEARCH, _SPEED, _SECURITY, _COVERAGE, _HISTORY = (
    "Links", "Failures", "Content", "Search engines", "Speed and size", "Security", "Coverage", "Changes",
)  # fmt: skip

_CAUSE = Column(name="cause", title="Cause")

_BROKEN = Question(
    name="broken-links",
    chapter=_LINKS,
    title="Broken links",
    explanation="URLs that are gone or failed, also through redirects, and redirect loops, each with the pages that"
    " have to be corrected. With --check, also links that leave the scope, images, scripts and stylesheets.",
    severity=Severity.ERROR,
    view="scratch.broken_targets",
    columns=(
        Column(name="target_url", title="Broken URL", kind=Kind.URL),
        _CAUSE,
        Column(name="links", title="Links", kind=Kind.COUNT),
    ),
    key=("target_url",),
    order="links DESC, target_url",
    listed_by="broken_links",
    has_sources=True,
)
_UNVERIFIED = Question(
    name="unverified-links",
    chapter=_LINKS,
    title="Checked without a verdict",
    explanation="External links and resources that refuse to answer a program (blocked), or must not be asked for: by"
    " robots.txt or an option (not_asked). People may well get them, so they do not count as broken.",
    severity=Severity.INFO,
    view="checked_urls",
    columns=(
        Column(name="url", title="URL", kind=Kind.URL),
        Column(name="verdict", title="Verdict"),
        _CAUSE,
        Column(name="checked_at", title="Checked", kind=Kind.TIME),
    ),
    key=("url",),
    order="verdict, url",
    where="verdict IN ('blocked', 'not_asked')",
    needs=(
        Need(
            query="SELECT 1 FROM checks LIMIT 1",
            unless="Links that leave the scope, images and scripts were not asked for. To do so, crawl with --check"
            " external --check resources.",
        ),
    ),
)
_FLAKY = Question(
    name="flaky-links",
    chapter=_LINKS,
    title="Links that come and go",
    explanation="External links and resources of which the last ten checks found some good and some not.",
    severity=Severity.NOTICE,
    view="checked_urls",
    columns=(
        Column(name="url", title="URL", kind=Kind.URL),
        Column(name="verdict", title="Verdict now"),
        _CAUSE,
        Column(name="good_at", title="Last good", kind=Kind.TIME),
    ),
    key=("url",),
    order="url",
    where="flaky",
)
_FRAGMENTS = Question(
    name="broken-fragments",
    chapter=_LINKS,
    title="Links to places that are not there",
    explanation="The page is there, but no element on it has the name after the #: the browser stays at the top.",
    severity=Severity.WARNING,
    view="broken_fragments",
    columns=(
        Column(name="target_url", title="Leads to", kind=Kind.URL),
        Column(name="fragment", title="Place that is missing"),
        Column(name="page_url", title="On page", kind=Kind.URL),
        Column(name="anchor", title="Link"),
    ),
    key=("target_url", "fragment", "page_url"),
    order="target_url, fragment, page_url",
    needs=(
        Need(
            query="SELECT 1 FROM bodies LIMIT 1",
            unless="No bodies are stored, in which the places would stand: the crawl ran with --no-bodies.",
        ),
        Need(
            query=f"""SELECT 1 WHERE (
                SELECT count(*) FROM (
                    SELECT DISTINCT target_id FROM link_details WHERE fragment <> '' LIMIT {_MAX_PLACES} + 1
                )
            ) <= {_MAX_PLACES}""",  # noqa: S608 - our own number
            unless=f"Links lead to places on more than {_MAX_PLACES:,} pages, which is too much for a report to look"
            " through. crawler list broken-fragments takes its time.",
        ),
    ),
)
_CHAINS = Question(
    name="redirect-chains",
    chapter=_LINKS,
    title="Redirect chains",
    explanation="Redirects that take two hops or more, return to themselves, or end at a URL that does not work. A"
    " single redirect to a page that works is not listed.",
    severity=Severity.WARNING,
    view="redirect_chains",
    columns=(
        Column(name="url", title="URL", kind=Kind.URL),
        Column(name="hops", title="Hops", kind=Kind.COUNT),
        Column(name="end_url", title="Ends at", kind=Kind.URL),
        Column(name="end_status", title="Status there"),
        Column(name="chain", title="The whole chain"),
    ),
    key=("url",),
    order="end_status = 'loop' DESC, end_status IN ('gone', 'failed') DESC, hops DESC, url",
    where="hops > 1 OR end_status IN ('loop', 'gone', 'failed')",
)
_ORPHANS = Question(
    name="orphan-pages",
    chapter=_LINKS,
    title="Orphan pages",
    explanation="Pages that no other page links to, not even through redirects: known from a sitemap, or from a link"
    " that has gone since.",
    severity=Severity.WARNING,
    view="orphan_pages",
    columns=(_URL, _TITLE, _DEPTH),
    key=("url",),
    order="depth, url",
)
_BEST = Question(
    name="best-linked",
    chapter=_LINKS,
    title="The best-linked pages",
    explanation="By PageRank: links from pages that are well linked themselves count more. 1 is the average.",
    severity=Severity.INFO,
    view="scratch.best_linked",
    columns=(
        _URL,
        _TITLE,
        Column(name="rank", title="Rank", kind=Kind.SHARE),
        Column(name="inlinks", title="Links to it", kind=Kind.COUNT),
    ),
    key=("url",),
    order="rank DESC, inlinks DESC, url",
    listed_by="best_linked",
    needs=(
        Need(
            query="SELECT 1 FROM scratch.derived WHERE view = 'best_linked'",
            unless="To rank so many pages takes a minute. crawler list best-linked does, and keeps the result.",
        ),
    ),
)
_FAILED = Question(
    name="failed-urls",
    chapter=_FAILURES,
    title="Failed URLs",
    explanation="URLs without a usable response: errors of the server, refusals (401, 403, 429), timeouts, names that"
    " cannot be resolved.",
    severity=Severity.ERROR,
    view="failed_urls",
    columns=(
        Column(name="url", title="URL", kind=Kind.URL),
        _REASON,
        Column(name="attempts", title="Attempts", kind=Kind.COUNT),
        Column(name="failing_since", title="Since", kind=Kind.TIME),
    ),
    key=("url",),
    order="reason, url",
)
_FAILING = Question(
    name="failing-urls",
    chapter=_FAILURES,
    title="URLs that fail for now",
    explanation="They responded before, but not at the latest visit. They count as failed once that happens again.",
    severity=Severity.WARNING,
    view="failing_urls",
    columns=(
        Column(name="url", title="URL", kind=Kind.URL),
        Column(name="failing_reason", title="Reason"),
        Column(name="attempts", title="Attempts", kind=Kind.COUNT),
        Column(name="failing_since", title="Since", kind=Kind.TIME),
    ),
    key=("url",),
    order="failing_reason, url",
)
_DUPLICATES = Question(
    name="duplicate-pages",
    chapter=_CONTENT,
    title="Duplicate pages",
    explanation="Pages with the same text and links as one that was found before them, and that do not name it as"
    " canonical.",
    severity=Severity.WARNING,
    view="duplicate_pages",
    columns=(
        _URL,
        Column(name="first_url", title="Same as", kind=Kind.URL),
        Column(name="copies", title="Copies", kind=Kind.COUNT),
        Column(name="canonical_url", title="Its canonical URL", kind=Kind.URL),
    ),
    key=("url",),
    order="copies DESC, first_url, url",
    where="url <> first_url AND canonical_url IS NOT first_url",
)
_ALIKE = Question(
    name="near-duplicate-pages",
    chapter=_CONTENT,
    title="Pages that are nearly alike",
    explanation="Nearly the same text as a page that was found before them, which they do not name as canonical: a few"
    " words in five hundred differ, or none.",
    severity=Severity.NOTICE,
    view="scratch.near_duplicate_pages",
    columns=(
        _URL,
        Column(name="first_url", title="Like", kind=Kind.URL),
        Column(name="copies", title="Pages alike", kind=Kind.COUNT),
        Column(name="distance", title="Bits that differ, of 64", kind=Kind.COUNT),
        Column(name="words", title="Words", kind=Kind.COUNT),
    ),
    key=("url",),
    order="copies DESC, first_url, url",
    where="url <> first_url AND canonical_url IS NOT first_url",
    listed_by="near_duplicate_pages",
    needs=(
        Need(
            query="SELECT 1 FROM scratch.derived WHERE view = 'near_duplicate_pages'",
            unless="To compare so many pages takes minutes. crawler list near-duplicates does, and keeps the result.",
        ),
    ),
)
_MISSING_TITLES = Question(
    name="missing-titles",
    chapter=_CONTENT,
    title="Pages without a title",
    explanation="Browsers and search engines show the URL instead.",
    severity=Severity.WARNING,
    view="missing_titles",
    columns=(_URL, _DEPTH),
    key=("url",),
    order="depth, url",
)
_DOUBLE_TITLES = Question(
    name="duplicate-titles",
    chapter=_CONTENT,
    title="Titles that several pages have",
    explanation="Nobody can tell these pages apart in a list of results or tabs.",
    severity=Severity.WARNING,
    view="duplicate_titles",
    columns=(_TITLE, _URL, Column(name="copies", title="Pages", kind=Kind.COUNT)),
    key=("url",),
    order="copies DESC, title, url",
)
_LONG_TITLES = Question(
    name="long-titles",
    chapter=_CONTENT,
    title="Long titles",
    explanation="More than 60 characters: search engines cut the end.",
    severity=Severity.NOTICE,
    view="long_titles",
    columns=(_URL, _TITLE, Column(name="length", title="Characters", kind=Kind.COUNT)),
    key=("url",),
    order="length DESC, url",
)
_MISSING_DESCRIPTIONS = Question(
    name="missing-descriptions",
    chapter=_CONTENT,
    title="Pages without a description",
    explanation="Without a meta description, search engines choose some text of the page themselves.",
    severity=Severity.NOTICE,
    view="missing_descriptions",
    columns=(_URL, _TITLE, _DEPTH),
    key=("url",),
    order="depth, url",
)
_DOUBLE_DESCRIPTIONS = Question(
    name="duplicate-descriptions",
    chapter=_CONTENT,
    title="Descriptions that several pages have",
    explanation="A description that fits several pages says little about each of them.",
    severity=Severity.NOTICE,
    view="duplicate_descriptions",
    columns=(
        Column(name="description", title="Description"),
        _URL,
        Column(name="copies", title="Pages", kind=Kind.COUNT),
    ),
    key=("url",),
    order="copies DESC, description, url",
)
_LONG_DESCRIPTIONS = Question(
    name="long-descriptions",
    chapter=_CONTENT,
    title="Long descriptions",
    explanation="More than 160 characters: search engines cut the end.",
    severity=Severity.NOTICE,
    view="long_descriptions",
    columns=(
        _URL,
        Column(name="description", title="Description"),
        Column(name="length", title="Characters", kind=Kind.COUNT),
    ),
    key=("url",),
    order="length DESC, url",
)
_JSON_LD = Question(
    name="invalid-json-ld",
    chapter=_SEARCH,
    title="JSON-LD that is not JSON",
    explanation="Structured data that search engines cannot read, and ignore.",
    severity=Severity.WARNING,
    view="invalid_json_ld",
    columns=(_URL, Column(name="place", title="Script", kind=Kind.COUNT), Column(name="script", title="Its text")),
    key=("url", "place"),
    order="url, place",
)
_CANONICAL = Question(
    name="canonical-problems",
    chapter=_SEARCH,
    title="Canonical URLs that do not work",
    explanation="The page names another one as canonical, and that one is unknown, gone, failed, redirected, excluded,"
    " not to be listed, or names yet another one (elsewhere).",
    severity=Severity.WARNING,
    view="canonical_problems",
    columns=(_URL, Column(name="canonical_url", title="Its canonical URL", kind=Kind.URL), _PROBLEM, _REASON),
    key=("url", "canonical_url", "problem"),
    order="problem, url",
)
_HREFLANG = Question(
    name="hreflang-problems",
    chapter=_SEARCH,
    title="Translations that do not work",
    explanation="Translations named by hreflang that are unknown, gone, failed, redirected, excluded, not to be listed,"
    " or that do not name the page in turn (one-sided): search engines ignore them.",
    severity=Severity.WARNING,
    view="hreflang_problems",
    columns=(
        _URL,
        Column(name="language", title="Language"),
        Column(name="alternate_url", title="Translation", kind=Kind.URL),
        _PROBLEM,
        _REASON,
    ),
    key=("url", "language", "alternate_url", "problem"),
    order="problem, url, language, alternate_url",
)
_SITEMAPS = Question(
    name="sitemap-problems",
    chapter=_SEARCH,
    title="Sitemap entries that cannot be listed",
    explanation="Sitemaps name them, though they are gone, failed, redirected, excluded, not to be listed, or name"
    " another page as canonical.",
    severity=Severity.WARNING,
    view="sitemap_problems",
    columns=(_URL, Column(name="sitemap_url", title="Sitemap", kind=Kind.URL), _PROBLEM, _REASON),
    key=("url", "sitemap_url", "problem"),
    order="problem, url, sitemap_url",
)
_NOINDEX = Question(
    name="noindex",
    chapter=_SEARCH,
    title="Pages that ask not to be listed",
    explanation="By a robots meta element or an X-Robots-Tag header. Make sure that this is intended.",
    severity=Severity.INFO,
    view="noindex",
    columns=(_URL, _TITLE, Column(name="nofollow", title="Nofollow, too", kind=Kind.FLAG)),
    key=("url",),
    order="url",
)
_SLOW = Question(
    name="slow-pages",
    chapter=_SPEED,
    title="Slow pages",
    explanation="One second or more from the request to the end of the body.",
    severity=Severity.WARNING,
    view="slow_pages",
    columns=(
        _URL,
        Column(name="elapsed_s", title="Time", kind=Kind.SECONDS),
        Column(name="bytes", title="Size", kind=Kind.SIZE),
    ),
    key=("url",),
    order="elapsed_s DESC, url",
)
_LARGE = Question(
    name="large-pages",
    chapter=_SPEED,
    title="Large pages",
    explanation="1 MiB or more of HTML or text, decoded, or cut at --max-bytes.",
    severity=Severity.WARNING,
    view="large_pages",
    columns=(
        _URL,
        Column(name="bytes", title="Size", kind=Kind.SIZE),
        Column(name="truncated", title="Cut", kind=Kind.FLAG),
    ),
    key=("url",),
    order="bytes DESC, url",
)
_MIXED = Question(
    name="mixed-content",
    chapter=_SECURITY,
    title="Mixed content",
    explanation="Pages that came over https and load something over http: browsers block it, or warn.",
    severity=Severity.ERROR,
    view="mixed_content",
    columns=(
        Column(name="page_url", title="Page", kind=Kind.URL),
        Column(name="kind", title="Kind"),
        Column(name="url", title="Loads", kind=Kind.URL),
    ),
    key=("page_url", "kind", "url"),
    order="page_url, kind, url",
)
_HEADERS = Question(
    name="missing-security-headers",
    chapter=_SECURITY,
    title="Missing security headers",
    explanation="Header fields that protect visitors and that HTML pages came without.",
    severity=Severity.NOTICE,
    view="missing_security_headers",
    columns=(
        Column(name="host", title="Host"),
        Column(name="header", title="Header"),
        Column(name="pages", title="Pages without it", kind=Kind.COUNT),
        Column(name="example_url", title="For example", kind=Kind.URL),
    ),
    key=("host", "header"),
    order="pages DESC, host, header",
    needs=(
        Need(
            query="SELECT 1 FROM heads LIMIT 1",
            unless="No response headers are stored: the crawl ran with --no-headers, or with a version before 0.2.0.",
        ),
    ),
)
_EXCLUSIONS = Question(
    name="excluded",
    chapter=_COVERAGE,
    title="What was left out, and why",
    explanation="URLs that were found but not fetched, by what excluded them.",
    severity=Severity.INFO,
    view="exclusions",
    columns=(
        Column(name="rule", title="Rule"),
        Column(name="reason", title="In full"),
        Column(name="urls", title="URLs", kind=Kind.COUNT),
        Column(name="example_url", title="For example", kind=Kind.URL),
    ),
    key=("rule", "reason"),
    order="urls DESC, reason",
)
_TRAPS = Question(
    name="traps",
    chapter=_COVERAGE,
    title="Suspected traps",
    explanation="Places that looked endless and were excluded. `--no-trap-rules` lets them in.",
    severity=Severity.NOTICE,
    view="traps",
    columns=(
        Column(name="host", title="Host"),
        Column(name="rule", title="What speaks for it"),
        Column(name="urls", title="URLs", kind=Kind.COUNT),
        Column(name="example_url", title="For example", kind=Kind.URL),
    ),
    key=("host", "rule"),
    order="urls DESC, host, rule",
)
_CHANGES = Question(
    name="changes",
    chapter=_HISTORY,
    title="What the last run changed",
    explanation="Pages that the last run found new, changed, gone (404, 410), moved (they redirect) or back.",
    severity=Severity.INFO,
    view="changes",
    columns=(_URL, Column(name="change", title="Change"), Column(name="at", title="Noticed", kind=Kind.TIME)),
    key=("url", "change"),
    order="change, url",
    where="run_id = (SELECT max(id) FROM runs)",
    needs=(
        Need(
            query="SELECT 1 FROM runs WHERE id > (SELECT min(id) FROM runs) LIMIT 1",
            unless="There has been one run so far: everything is new.",
        ),
    ),
)

QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        one.name: one
        for one in (
            _BROKEN, _UNVERIFIED, _FLAKY, _FRAGMENTS, _CHAINS, _ORPHANS, _BEST, _FAILED, _FAILING, _MIXED, _HEADERS,
            _CANONICAL, _HREFLANG, _SITEMAPS, _JSON_LD, _NOINDEX, _DUPLICATES, _ALIKE, _MISSING_TITLES,
            _DOUBLE_TITLES, _LONG_TITLES, _MISSING_DESCRIPTIONS, _DOUBLE_DESCRIPTIONS, _LONG_DESCRIPTIONS, _SLOW,
            _LARGE, _TRAPS, _EXCLUSIONS, _CHANGES,
        )
    }
)  # fmt: skip
