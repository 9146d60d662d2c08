"""Questions about links, and about URLs that fail."""

from __future__ import annotations

from crawler.archive.audit.model import Column, Kind, Severity
from crawler.archive.audit.question import CAUSE, DEPTH, REASON, TITLE, URL, Need, Question

_LINKS, _FAILURES = "Links", "Failures"
_MAX_PLACES = 30_000  # pages that are parsed for the places on them: 10 s of CPU

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
        CAUSE,
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
        CAUSE,
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
        CAUSE,
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
    columns=(URL, TITLE, DEPTH),
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
        URL,
        TITLE,
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
        REASON,
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

LINK_QUESTIONS = (
    _BROKEN,
    _UNVERIFIED,
    _FLAKY,
    _FRAGMENTS,
    _CHAINS,
    _ORPHANS,
    _BEST,
    _FAILED,
    _FAILING,
)
