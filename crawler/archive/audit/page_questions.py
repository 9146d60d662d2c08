"""Questions about what stands on pages, and how they came."""

from __future__ import annotations

from crawler.archive.audit.model import Column, Kind, Severity
from crawler.archive.audit.question import DEPTH, PROBLEM, TITLE, URL, Need, Question

_CONTENT, _SPEED = "Content", "Speed and size"

_DUPLICATES = Question(
    name="duplicate-pages",
    chapter=_CONTENT,
    title="Duplicate pages",
    explanation="Pages with the same text and links as one that was found before them, and that do not name it as"
    " canonical.",
    severity=Severity.WARNING,
    view="duplicate_pages",
    columns=(
        URL,
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
        URL,
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
    columns=(URL, DEPTH),
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
    columns=(TITLE, URL, Column(name="copies", title="Pages", kind=Kind.COUNT)),
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
    columns=(URL, TITLE, Column(name="length", title="Characters", kind=Kind.COUNT)),
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
    columns=(URL, TITLE, DEPTH),
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
        URL,
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
        URL,
        Column(name="description", title="Description"),
        Column(name="length", title="Characters", kind=Kind.COUNT),
    ),
    key=("url",),
    order="length DESC, url",
)

_SLOW = Question(
    name="slow-pages",
    chapter=_SPEED,
    title="Slow pages",
    explanation="One second or more from the request to the end of the body.",
    severity=Severity.WARNING,
    view="slow_pages",
    columns=(
        URL,
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
        URL,
        Column(name="bytes", title="Size", kind=Kind.SIZE),
        Column(name="truncated", title="Cut", kind=Kind.FLAG),
    ),
    key=("url",),
    order="bytes DESC, url",
)

_EXTRACTION = Question(
    name="extraction-problems",
    chapter=_CONTENT,
    title="Pages where an extraction rule falls short",
    explanation="A rule that is for the page finds nothing where it had found something before, or not all that it"
    " requires. As a rule the page is built otherwise by now.",
    severity=Severity.WARNING,
    view="extraction_problems",
    columns=(
        Column(name="rule", title="Rule"),
        URL,
        PROBLEM,
        Column(name="found", title="Rows found", kind=Kind.COUNT),
        Column(name="lacking", title="Missing"),
    ),
    key=("rule", "url", "problem"),
    order="rule, problem DESC, url",
    where="problem <> 'nothing'",
    needs=(Need(query="SELECT 1 FROM extraction_rules", unless="This crawl has no extraction rules."),),
)

PAGE_QUESTIONS = (
    _DUPLICATES,
    _ALIKE,
    _MISSING_TITLES,
    _DOUBLE_TITLES,
    _LONG_TITLES,
    _MISSING_DESCRIPTIONS,
    _DOUBLE_DESCRIPTIONS,
    _LONG_DESCRIPTIONS,
    _EXTRACTION,
    _SLOW,
    _LARGE,
)
