"""Why a URL may not enter, in words."""

from __future__ import annotations

import pytest

from crawler.config import ScopeConfig, ScopeRule
from crawler.policy.explanation import Excluded, explanation
from crawler.records import ExclusionReason

ROOTS = ["https://www.a.test/docs/", "https://b.test/", "https://c.test/", "https://d.test/"]


def explained(cause: str, config: ScopeConfig | None = None, *, url: str = "https://x.test/a") -> str:
    return explanation(
        Excluded(url=url, cause=cause, detail="DETAIL", depth=4, config=config or ScopeConfig(), roots=ROOTS)
    )


@pytest.mark.parametrize("cause", ExclusionReason)
def test_every_reason_has_words_of_its_own(cause: ExclusionReason) -> None:
    words = explained(cause)
    assert words not in (cause, "")
    assert not words.endswith(".")


def test_a_reason_of_another_version_is_told_as_it_is() -> None:
    assert explained("moonlight") == "moonlight"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (ScopeRule.HOST, "--scope host: x.test is none of the seeds' hosts (www.a.test, b.test, c.test and 1 more)"),
        (ScopeRule.DOMAIN, "--scope domain: x.test is none of the seeds' domains (a.test, b.test, c.test and 1 more)"),
        (
            ScopeRule.PREFIX,
            "--scope prefix: it is below none of the seeds' folders (www.a.test/docs/, b.test/, c.test/ and 1 more)",
        ),
        (ScopeRule.ANY, "the --scope of an earlier run"),
    ],
)
def test_the_scope_is_told_with_what_it_holds(rule: ScopeRule, words: str) -> None:
    assert explained(ExclusionReason.SCOPE, ScopeConfig(scope=rule)) == words


def test_an_option_is_told_with_its_value_or_as_one_of_an_earlier_run() -> None:
    config = ScopeConfig(exclude=("/b", "/a$"), include=("/c", "/d"), max_depth=2)
    assert explained(ExclusionReason.EXCLUDE, config) == "--exclude: it matches '/a$'"
    assert explained(ExclusionReason.EXCLUDE) == "an --exclude of an earlier run"
    assert explained(ExclusionReason.INCLUDE, config) == "--include: it matches none of '/c' '/d'"
    assert explained(ExclusionReason.INCLUDE) == "an --include of an earlier run"
    assert explained(ExclusionReason.DEPTH, config) == "--max-depth 2: it is 4 links from the nearest seed"
    assert explained(ExclusionReason.DEPTH) == "a --max-depth of an earlier run: it is 4 links from the nearest seed"
