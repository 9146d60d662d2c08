"""Questions about what browsers and search engines are told."""

from __future__ import annotations

from crawler.archive.audit.model import Column, Kind, Severity
from crawler.archive.audit.question import PROBLEM, REASON, TITLE, URL, Need, Question

_SEARCH, _SECURITY = "Search engines", "Security"

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

_CANONICAL = Question(
    name="canonical-problems",
    chapter=_SEARCH,
    title="Canonical URLs that do not work",
    explanation="The page names another one as canonical, and that one is unknown, gone, failed, redirected, excluded,"
    " not to be listed, or names yet another one (elsewhere).",
    severity=Severity.WARNING,
    view="canonical_problems",
    columns=(URL, Column(name="canonical_url", title="Its canonical URL", kind=Kind.URL), PROBLEM, REASON),
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
        URL,
        Column(name="language", title="Language"),
        Column(name="alternate_url", title="Translation", kind=Kind.URL),
        PROBLEM,
        REASON,
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
    columns=(URL, Column(name="sitemap_url", title="Sitemap", kind=Kind.URL), PROBLEM, REASON),
    key=("url", "sitemap_url", "problem"),
    order="problem, url, sitemap_url",
)

_JSON_LD = Question(
    name="invalid-json-ld",
    chapter=_SEARCH,
    title="JSON-LD that is not JSON",
    explanation="Structured data that search engines cannot read, and ignore.",
    severity=Severity.WARNING,
    view="invalid_json_ld",
    columns=(URL, Column(name="place", title="Script", kind=Kind.COUNT), Column(name="script", title="Its text")),
    key=("url", "place"),
    order="url, place",
)

_NOINDEX = Question(
    name="noindex",
    chapter=_SEARCH,
    title="Pages that ask not to be listed",
    explanation="By a robots meta element or an X-Robots-Tag header. Make sure that this is intended.",
    severity=Severity.INFO,
    view="noindex",
    columns=(URL, TITLE, Column(name="nofollow", title="Nofollow, too", kind=Kind.FLAG)),
    key=("url",),
    order="url",
)

SITE_QUESTIONS = (
    _MIXED,
    _HEADERS,
    _CANONICAL,
    _HREFLANG,
    _SITEMAPS,
    _JSON_LD,
    _NOINDEX,
)
