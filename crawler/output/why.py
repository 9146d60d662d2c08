"""Why a URL is, or is not, in a crawl: `crawler why`, for people and as data.

Invariant: the first line answers the question; every text from the web is one harmless line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from crawler.archive.answers import Pause, RobotsWord, Step, UrlState, Why
from crawler.output.details import Cells, Rows, attempt_cells, failing_line, many, text_of
from crawler.output.ending import print_rows
from crawler.output.figures import counted, moment
from crawler.output.safe_text import printable
from crawler.records import UrlStatus

_MAX_STEPS = 12
_LABEL = len("robots.txt") + 5


def print_why(console: Console, why: Why, near: Sequence[str] = ()) -> None:
    """Print it: aligned on a terminal, one labelled line each elsewhere. `near`: URLs that may be meant instead."""
    width = max(20, console.width - _LABEL) if console.is_terminal else None
    print_rows(console, [(label, value) for label, value in _rows(why, near, width) if value.plain])


def as_data(why: Why, near: Sequence[str] = ()) -> dict[str, Any]:
    """For JSON: `answer` is the sentence for people, the rest what it is made of; times are Unix seconds."""
    return {"answer": answer(why), **asdict(why), "near": list(near)}


def answer(why: Why) -> str:
    """What became of the URL and what decided, in a sentence or two."""
    state = why.state
    if state is not None:
        return _ANSWERS[state.status](why, state)
    if why.is_foretold:
        is_let_in = why.ruling is None and why.address_refused is None
        return "there is no crawl yet; " + ("it would be let in" if is_let_in else "it would be kept out")
    return f"never seen: nothing that was read names it{_not_stored(why)}"


def _rows(why: Why, near: Sequence[str], width: int | None) -> Rows:
    yield "url", text_of(why.url, "bold")
    yield "answer", Text(printable(answer(why)), style="bold")
    if why.state is not None:
        yield "failing", Text(failing_line(why.state), style="yellow")
    yield "seen are", text_of(", ".join(near))
    yield from many("found", map(_step, why.chain[-_MAX_STEPS:]), len(why.chain), width, _MAX_STEPS)
    yield "linked from", text_of(why.linked_from)
    yield "rules now", Text(printable(_ruling(why)), style="green" if why.ruling is None else "yellow")
    yield "address", text_of(why.address_refused, "yellow")
    yield "robots.txt", Text(printable(_robots(why.robots)))
    yield (
        "paused",
        text_of("; ".join(f"{one.name} until {moment(one.until)} ({one.reason or 'delay'})" for one in why.pauses)),
    )
    yield from many("attempts", map(attempt_cells, reversed(why.attempts)), len(why.attempts), width, len(why.attempts))
    settings = ((one.option, one.value, f"({one.source})") for one in why.settings)
    yield from many("settings", settings, len(why.settings), width, len(why.settings))


def _step(step: Step) -> Cells:
    unknown = "robots.txt" if step.url.endswith("/robots.txt") else "not known"
    return (step.found_by or unknown, step.url, moment(step.discovered_at))


def _pause(pause: Pause) -> str:
    return f"{pause.name} until {moment(pause.until)} ({pause.reason or 'the delay between two requests'})"


def _ruling(why: Why) -> str:
    if why.ruling is None:
        return "they let it in"
    return "" if why.ruling_explained == why.explanation else f"they keep it out: {why.ruling_explained}"


def _robots(robots: RobotsWord) -> str:
    if robots.fetched_at is None:
        return f"{robots.url} was never read"
    status = "" if robots.status_code is None else f", HTTP {robots.status_code}"
    old = f", {counted(robots.failures, 'attempt')} since in vain" if robots.failures else ""
    rule = "no rule matches" if robots.rule is None else f"line {robots.line}: {robots.rule}"
    allows = "allows" if robots.allowed else "disallows"
    return f"{allows} it for {robots.agent}: {rule} ({robots.url}, read {moment(robots.fetched_at)}{status}{old})"


def _not_stored(why: Why) -> str:
    if not why.unstored_links:
        return ""
    links = counted(why.unstored_links, "link")
    return f"; but {links} to its host were not stored (--max-urls-per-host)"


def _fetched(why: Why, state: UrlState) -> str:
    at = "" if state.fetched_at is None else f", last at {moment(state.fetched_at)}"
    if state.unread_type is not None:
        return f"fetched{at}, but it is no page: {state.unread_type or 'it has no Content-Type'}"
    return f"fetched{at}" + ("" if state.has_page or state.kind != "page" else ", and no page is stored")


def _pending(why: Why, state: UrlState) -> str:
    due = "" if state.next_fetch_at is None else f", due {moment(state.next_fetch_at)}"
    failed = f" after {counted(state.attempts, 'failed attempt')}" if state.attempts else ""
    limit = "" if why.last_limit is None else f"; the last run reached {why.last_limit}"
    return f"to be fetched{failed}{due}{limit}"


def _excluded(why: Why, state: UrlState) -> str:
    return f"excluded: {why.explanation}" + ("" if why.ruling is not None else "; the rules of now let it in")


def _gone(why: Why, state: UrlState) -> str:
    codes = [one.status_code for one in why.attempts if one.status_code in (404, 410)]
    at = "" if state.fetched_at is None else f" at {moment(state.fetched_at)}"
    return f"gone: it returned {f'HTTP {codes[-1]}' if codes else 'HTTP 404 or 410'}{at}"


def _failed(why: Why, state: UrlState) -> str:
    messages = [one.message for one in why.attempts if one.message]
    message = f" ({messages[-1]})" if messages else ""
    planned = state.next_fetch_at is not None or state.revisit_at is not None
    return f"failed: {state.reason}{message}" + ("" if planned else "; no run retries it without --retry-failed")


def _redirected(why: Why, state: UrlState) -> str:
    ends = [one.redirect_url for one in why.attempts if one.redirect_url is not None]
    if not ends:
        return "redirected"
    end = why.redirected_to
    became = "which was never seen" if end is None else f"which is {end.status}"
    return f"redirected to {ends[-1]}, {became}" + ("" if end is None or end.reason is None else f": {end.reason}")


_ANSWERS: Mapping[str, Callable[[Why, UrlState], str]] = {
    UrlStatus.PENDING: _pending,
    UrlStatus.FETCHED: _fetched,
    UrlStatus.REDIRECTED: _redirected,
    UrlStatus.EXCLUDED: _excluded,
    UrlStatus.GONE: _gone,
    UrlStatus.FAILED: _failed,
}
