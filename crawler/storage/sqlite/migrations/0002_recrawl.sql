-- Fetching again. What is learnt about a URL's changes is kept with it; see policy/recrawl.py for what the numbers mean.

ALTER TABLE urls ADD COLUMN revisit_at REAL;    -- when `--max-age auto` looks at it again
ALTER TABLE urls ADD COLUMN changes REAL;       -- so many changes in
ALTER TABLE urls ADD COLUMN watched_s REAL;     -- so many seconds
ALTER TABLE urls ADD COLUMN promise_s REAL;     -- for how long the last answer was said to hold; -1: such a word was broken
ALTER TABLE urls ADD COLUMN new_links REAL NOT NULL DEFAULT 0;      -- unknown URLs that a new version brings, on average
ALTER TABLE urls ADD COLUMN hinted INTEGER NOT NULL DEFAULT 0;      -- 1: a sitemap says that it has changed since

ALTER TABLE hosts ADD COLUMN hints_right INTEGER NOT NULL DEFAULT 0;    -- such pages that had changed
ALTER TABLE hosts ADD COLUMN hints_wrong INTEGER NOT NULL DEFAULT 0;

UPDATE urls SET revisit_at = fetched_at + 86400
WHERE status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots' AND fetched_at IS NOT NULL;

-- `--max-age AGE` goes by the first, `auto` by the second; where there is time for a part only, the third comes first.
CREATE INDEX urls_answered ON urls (host_id, fetched_at)
    WHERE status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots';
CREATE INDEX urls_revisit ON urls (host_id, revisit_at) WHERE revisit_at IS NOT NULL;
CREATE INDEX urls_hubs ON urls (host_id) WHERE seed > 0 OR new_links >= 0.25;
