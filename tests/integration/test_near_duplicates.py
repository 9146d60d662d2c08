"""Pages with nearly the same text: each with its group, none that only looks like one, whatever has changed since."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import open_crawl
from crawler.archive.answers import NearDuplicate
from crawler.archive.derived import derived_file
from crawler.archive.fingerprints import FEWEST_WORDS, fingerprint
from crawler.archive.near_duplicates import DISTANCE, groups
from crawler.records import UrlStatus
from tests.contract.results import NOW, a_store
from tests.integration.test_derived import unable_to_write
from tests.integration.test_search import SITE, a_page, command, conclude, crawl_of, overwritten, store_pages

WORDS = [
    f"{first}{second}" for first in ("ba", "ce", "di", "fo", "gu") for second in ("lan", "mer", "nok", "pir", "sut")
]
ALL_BITS = (1 << 64) - 1


def a_text(seed: int, length: int = 400, edits: int = 0) -> str:
    """Random words; `edits` of them are others than in the text of the same seed without."""
    chance = random.Random(seed)
    text = [f"{chance.choice(WORDS)}{chance.randrange(50)}" for _ in range(length)]
    for number in range(edits):
        text[(number * 97) % length] = f"edited{number}"
    return " ".join(text)


async def near(db: Path, **options: Any) -> dict[str, NearDuplicate]:
    """By path."""
    told = options.pop("told", [])
    async with open_crawl(db, notify=told.append) as archive:
        return {one.url.removeprefix(SITE): one async for one in archive.near_duplicates(**options)}


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.db"
    await crawl_of(
        path,
        a_page("/a", a_text(1), title="A"),
        *(a_page(f"/other/{n}", a_text(100 + n)) for n in range(200)),
        a_page("/a-edited", a_text(1, edits=3)),
        a_page("/a-again", a_text(1), title="The same, under another title"),
        a_page("/short", "Buy now."),
        a_page("/short-too", "Buy now."),
        a_page("/b", a_text(2)),
        a_page("/b-half", a_text(2, edits=200)),
    )
    return path


async def test_exactly_those_that_are_alike(db: Path) -> None:
    found = await near(db)
    assert set(found) == {"/a", "/a-edited", "/a-again"}
    assert {one.first_url for one in found.values()} == {f"{SITE}/a"}
    assert {one.copies for one in found.values()} == {3}
    assert (found["/a"].distance, found["/a-again"].distance, found["/a"].words) == (0, 0, 400)
    assert found["/a-edited"].distance <= DISTANCE


async def test_they_follow_the_pages(db: Path) -> None:
    await near(db)
    async with a_store(db) as store:
        await conclude(store, "/a", UrlStatus.GONE, NOW + 5)
        found = await near(db)
        assert set(found) == {"/a-edited", "/a-again"}
        assert {one.first_url for one in found.values()} == {f"{SITE}/a-edited"}
        await store_pages(store, a_page("/a-edited", a_text(3)), at=NOW + 5)
        assert await near(db) == {}
        await store_pages(store, a_page("/b-half", a_text(2)), at=NOW + 5)
        assert set(await near(db)) == {"/b", "/b-half"}
        await store_pages(store, a_page("/a", a_text(1)), at=NOW + 9)
        assert set(await near(db)) == {"/a", "/a-again", "/b", "/b-half"}
    await command("prune", "--db", str(db), "--keep-versions", "1")
    assert set(await near(db)) == {"/a", "/a-again", "/b", "/b-half"}


async def test_without_time_those_that_are_known_are_compared(db: Path) -> None:
    told: list[str] = []
    assert await near(db, limit_s=0, told=told) == {}
    assert told == ["comparing 207 page versions is left for the next time"]
    assert len(await near(db)) == 3


async def test_a_damaged_file_is_made_anew(db: Path) -> None:
    await near(db)
    overwritten(derived_file(db))
    assert len(await near(db)) == 3


async def test_where_nothing_can_be_written_it_is_done_each_time() -> None:
    with TemporaryDirectory(dir="/tmp") as name:
        db = Path(name) / "crawl.db"
        await crawl_of(db, a_page("/a", a_text(1)), a_page("/b", a_text(1)))
        told: list[str] = []
        with unable_to_write(db.parent):
            assert set(await near(db, told=told)) == {"/a", "/b"}
        assert "using a temporary file" in told[0]
        assert not derived_file(db).exists()


async def test_whoever_reads_the_rows_may_ask_for_others_meanwhile(db: Path) -> None:
    async with open_crawl(db) as archive:
        async for one in archive.near_duplicates():
            assert [link async for link in archive.links_to(one.url)] == []
            assert (await archive.search("edited0")).total
        assert len([one async for one in archive.rows("near_duplicates", limit=2)]) == 2


async def test_to_compare_writes_nothing_into_the_crawls_file(db: Path) -> None:
    before = db.read_bytes()
    await near(db)
    assert db.read_bytes() == before


# --- fingerprints ----------------------------------------------------------------------------------------------------


def distance(one: str, other: str) -> int:
    found = fingerprint(one).bits, fingerprint(other).bits
    assert found[0] is not None
    assert found[1] is not None
    return ((found[0] ^ found[1]) & ALL_BITS).bit_count()


def test_a_fingerprint_is_the_same_for_ever() -> None:
    """They are stored."""
    assert fingerprint(" ".join(f"word{n}" for n in range(100))) == (100, KNOWN)


KNOWN = -8880635434921304119


def test_case_signs_and_accents_of_a_text_count_for_nothing() -> None:
    text = a_text(1)
    assert distance(text, text.upper().replace(" ", ",\n")) == 0


def test_other_texts_are_far_and_edited_ones_near() -> None:
    texts = [a_text(seed) for seed in range(40)]
    assert min(distance(texts[0], other) for other in texts[1:]) > 12
    near = [distance(a_text(seed), a_text(seed, edits=1)) for seed in range(40)]
    assert sum(one <= DISTANCE for one in near) >= 36
    assert distance(a_text(1), a_text(1)[::-1]) > 12
    words = a_text(5).split()
    assert distance(" ".join(words), " ".join(reversed(words))) > 5


def test_texts_that_are_too_short_have_none() -> None:
    assert fingerprint("one two") == (2, None)
    assert fingerprint("") == (0, None)
    assert fingerprint("a " * FEWEST_WORDS).bits is not None
    assert fingerprint("全文検索の例です。" * 5).bits is not None


@given(st.lists(st.integers(0, ALL_BITS), max_size=20), st.data())
def test_the_bands_miss_no_pair(some: list[int], data: st.DataObject) -> None:
    """Beside a comparison of all pairs."""
    flips = data.draw(
        st.lists(st.sets(st.integers(0, 63), max_size=DISTANCE + 1), min_size=len(some), max_size=len(some))
    )
    bits = some + [one ^ sum(1 << place for place in places) for one, places in zip(some, flips, strict=True)]
    ids = [7 * n + 3 for n in range(len(bits))]
    listed = {url_id: first_id for url_id, first_id, _copies, _distance in groups(ids, bits)}
    for n, one in enumerate(bits):
        alike = [m for m, other in enumerate(bits) if m != n and (one ^ other).bit_count() <= DISTANCE]
        assert (ids[n] in listed) == bool(alike)
        assert all(listed[ids[m]] == listed[ids[n]] for m in alike)


def test_the_bands_miss_no_pair_at_the_greatest_distance() -> None:
    chance = random.Random(1)
    bits = []
    for _ in range(2000):
        one = chance.getrandbits(64)
        bits += [one, one ^ sum(1 << place for place in chance.sample(range(64), DISTANCE))]
    assert [url_id for url_id, *_rest in groups(range(len(bits)), bits)] == list(range(len(bits)))


def test_a_crowd_of_pages_alike_is_one_group() -> None:
    chance = random.Random(1)
    bits = [0] * 3000 + [1 << chance.randrange(64) for _ in range(3000)]
    found = list(groups(range(len(bits)), bits))
    assert len(found) == len(bits)
    assert {copies for _id, _first, copies, _distance in found} == {len(bits)}
