"""Views of what is derived: they need the derived file to be attached, and brought up to date before (deriving.py)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from crawler.archive.deriving import PageDerivation
from crawler.archive.near_duplicates import NearDuplicates
from crawler.archive.ranks import Ranks
from crawler.storage.sqlite.views import View, declared

_VIEWS = """
CREATE VIEW near_duplicate_pages AS
-- Current pages with nearly the same text as another one: a few words in five hundred differ, or none. Their
-- fingerprints (simhash) differ in at most 5 of 64 bits. Texts of fewer than 20 words are not compared. For this
-- program's commands only: what they compare stands in the derived file, not in the database.
--   url             the page
--   first_url       of the pages that are alike, the one that was found first
--   distance        bits in which the fingerprints of the two differ; 0 for the same words in the same order
--   copies          how many pages are alike
--   words           of the page's text
--   title           its title
--   canonical_url   as the page declares it; if that is first_url, all is well
--   url_id          its row in urls
SELECT
    u.url, e.url AS first_url, n.distance, n.copies, f.words, p.title, p.canonical_url, u.id AS url_id
FROM derived.near_duplicates AS n CROSS JOIN derived.fingerprints AS f ON f.url_id = n.url_id
    CROSS JOIN urls AS u ON u.id = n.url_id CROSS JOIN pages AS p ON p.id = u.page_id
    CROSS JOIN urls AS e ON e.id = n.first_id
WHERE u.status IN ('fetched', 'failed', 'pending') AND e.status IN ('fetched', 'failed', 'pending');

CREATE VIEW best_linked AS
-- Current pages by PageRank, the best first: links from pages that are well linked themselves count more. Links with
-- nofollow do not count, and those to a redirect count for where it leads. For this program's commands only: ranks
-- stand in the derived file, not in the database.
--   url             the page
--   rank            its PageRank; 1 is the average of all pages
--   inlinks         number of links to it from other current pages
--   title           its title
--   place           in this order, from 1
--   url_id          its row in urls
SELECT u.url, round(r.rank, 3) AS rank, r.inlinks, p.title, r.place, u.id AS url_id
FROM derived.ranks AS r CROSS JOIN urls AS u ON u.id = r.url_id CROSS JOIN pages AS p ON p.id = u.page_id
WHERE u.status IN ('fetched', 'failed', 'pending');
"""

NEAR_DUPLICATES = NearDuplicates()
RANKS = Ranks()
SOURCES: Mapping[str, PageDerivation] = {"near_duplicate_pages": NEAR_DUPLICATES, "best_linked": RANKS}


@cache
def derived_views() -> Mapping[str, View]:
    """All of them by name."""
    return dict(declared(_VIEWS))
