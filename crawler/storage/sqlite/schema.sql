-- The crawl database: the whole schema as it is today. Times are Unix seconds (UTC), sizes are bytes, durations seconds.
--
-- New databases are made by this file, older ones get here by migrations/: whoever changes one changes the other, and a
-- test compares what they make. What a migration adds to a table stands at its end here, too.

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,              -- NULL: running, or killed; the next start goes on with this run
    end_reason TEXT,            -- complete, waiting, max_pages, max_requests, max_runtime, interrupted, terminated, stopped, output_closed, failed, killed
    pages INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    options TEXT NOT NULL,      -- JSON, without any secret
    summary TEXT,               -- JSON, once it has ended
    requests_noted INTEGER NOT NULL DEFAULT 0   -- with --max-requests: so many may have been sent, whatever was committed
);

-- Hosts own pacing. The six counts are of their pages and sitemaps by status, kept by triggers.
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    next_due_at REAL,           -- the earliest next_fetch_at of its URLs, but not before back_off_until
    back_off_until REAL NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,    -- look-ups and connections, in a row
    run_id INTEGER,             -- the run that run_pages and run_requests count
    run_pages INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    fetched INTEGER NOT NULL DEFAULT 0,
    redirected INTEGER NOT NULL DEFAULT 0,
    excluded INTEGER NOT NULL DEFAULT 0,
    gone INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    hints_right INTEGER NOT NULL DEFAULT 0, -- pages that had changed, as a sitemap had said
    hints_wrong INTEGER NOT NULL DEFAULT 0, -- pages that had not
    domain TEXT,                -- NULL: no URL of it was taken in, or no run has asked for domains since
    pace_s REAL,                -- the delay to which adaptive pacing has slowed it; NULL: not slowed
    back_off_reason TEXT,       -- why back_off_until; NULL: the delay between two requests
    unstored_links INTEGER NOT NULL DEFAULT 0,  -- to URLs of it without a row: it had its number (--max-urls-per-host)
    run_requests INTEGER NOT NULL DEFAULT 0,
    run_requests_noted INTEGER NOT NULL DEFAULT 0,  -- with max-requests of its own: as requests_noted of the run
    redesigned_at REAL,         -- when all of its pages were found to have changed at once; NULL: never
    next_check_at REAL          -- the earliest due_at of its checks, but not before back_off_until
);
CREATE INDEX hosts_due ON hosts (next_due_at) WHERE next_due_at IS NOT NULL;
CREATE INDEX hosts_checks ON hosts (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX hosts_of_domain ON hosts (domain) WHERE domain IS NOT NULL;

-- Origins (scheme, host, port) own robots.txt, and the pauses that they ask for.
CREATE TABLE origins (
    id INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    origin TEXT NOT NULL UNIQUE,
    robots_status INTEGER,      -- HTTP status of the last answer; NULL: there was none
    robots_body BLOB,           -- the last copy that was read; NULL: none ever was
    robots_fetched_at REAL,     -- when that was; while robots_failures > 0, it is obeyed for 30 days from then
    robots_expires_at REAL,     -- until then the copy is believed (RFC 9309, 2.4: at most 24 h)
    robots_failures INTEGER NOT NULL DEFAULT 0, -- attempts since that brought none
    paused_until REAL NOT NULL DEFAULT 0,       -- nothing is asked of it before
    pause_reason TEXT           -- http 503, robots.txt: timeout ...
);
CREATE INDEX origins_of_host ON origins (host_id);
CREATE INDEX origins_paused ON origins (paused_until) WHERE paused_until > 0;

-- Every URL ever seen, once: its UNIQUE is the crawler's seen-set.
CREATE TABLE urls (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    kind TEXT NOT NULL,         -- page, robots, sitemap, feed
    status TEXT NOT NULL,       -- pending, fetched, redirected, excluded, gone, failed
    reason TEXT,                -- why excluded or failed: `cause` and `detail` as one text
    depth INTEGER NOT NULL,     -- links from the nearest seed
    hops INTEGER NOT NULL DEFAULT 0,        -- redirects in a row that led here
    seed INTEGER NOT NULL DEFAULT 0,        -- 1: a seed leads here; 2: a seed; 3: one given without a scheme
    attempts INTEGER NOT NULL DEFAULT 0,    -- failed ones since the last success
    discovered_at REAL NOT NULL,
    fetched_at REAL,            -- the newest answer
    next_fetch_at REAL,         -- NULL: nothing is planned
    page_id INTEGER,            -- the newest version
    etag TEXT,
    last_modified TEXT,
    revisit_at REAL,            -- when `--max-age auto` looks at it again
    changes REAL,               -- so many changes in
    watched_s REAL,             -- so many seconds
    promise_s REAL,             -- for how long the last answer was said to hold; -1: such a word was broken
    new_links REAL NOT NULL DEFAULT 0,      -- unknown URLs that a new version brings, on average
    hinted INTEGER NOT NULL DEFAULT 0,      -- 1: a sitemap says that it has changed since
    cause TEXT,                 -- scope, robots, 'trap: session ids' ...; timeout, dns ...; http
    detail TEXT,                -- what the cause speaks of: a rule, a place, a domain, a status; or nothing
    failing_since REAL,         -- the first failed attempt since the last answer; NULL: none has failed
    failing_reason TEXT,        -- why its last visit failed; NULL: none has, though one may be under way
    links_cut_at INTEGER,       -- the --max-urls-per-host that left links of it without a row; 0: it was raised since
    found_on INTEGER,           -- urls.id of the page, sitemap or redirect that first named it; NULL: a seed, or not known
    found_by TEXT,              -- how: seed, link, redirect, canonical, refresh, sitemap, robots, feed, guess; NULL: not known
    unread_type TEXT            -- the Content-Type of a document that was no page; NULL: it was one, or nobody knows
);
CREATE INDEX urls_due ON urls (host_id, next_fetch_at) WHERE next_fetch_at IS NOT NULL;
CREATE INDEX urls_seeds ON urls (seed) WHERE seed > 0;
CREATE INDEX urls_excluded ON urls (host_id, cause, reason) WHERE status = 'excluded';
CREATE INDEX urls_failed ON urls (reason) WHERE status = 'failed' AND kind <> 'robots';
-- `--max-age AGE` goes by the first, `auto` by the second.
CREATE INDEX urls_answered ON urls (host_id, fetched_at)
    WHERE status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots' AND next_fetch_at IS NULL;
CREATE INDEX urls_revisit ON urls (host_id, revisit_at) WHERE revisit_at IS NOT NULL;
CREATE INDEX urls_cut ON urls (links_cut_at) WHERE links_cut_at IS NOT NULL;
-- Of what is to be fetched again, these come first: seeds and hubs, and what a sitemap says has changed.
CREATE INDEX urls_hubs ON urls (host_id, revisit_at) WHERE seed > 0 OR new_links >= 0.25;
CREATE INDEX urls_hinted ON urls (host_id) WHERE hinted = 1;
-- What failed and may be looked at again; and what fails but keeps the status of its last answer.
CREATE INDEX urls_retried ON urls (host_id, revisit_at) WHERE status = 'failed' AND revisit_at IS NOT NULL;
CREATE INDEX urls_failing ON urls (failing_since)
    WHERE failing_reason IS NOT NULL AND status IN ('fetched', 'redirected', 'gone');

CREATE TRIGGER urls_counted AFTER INSERT ON urls WHEN NEW.kind <> 'robots' BEGIN
    UPDATE hosts SET
        pending = pending + (NEW.status = 'pending'),
        fetched = fetched + (NEW.status = 'fetched'),
        redirected = redirected + (NEW.status = 'redirected'),
        excluded = excluded + (NEW.status = 'excluded'),
        gone = gone + (NEW.status = 'gone'),
        failed = failed + (NEW.status = 'failed')
    WHERE id = NEW.host_id;
END;
CREATE TRIGGER urls_recounted AFTER UPDATE OF status ON urls WHEN OLD.status <> NEW.status AND NEW.kind <> 'robots' BEGIN
    UPDATE hosts SET
        pending = pending + (NEW.status = 'pending') - (OLD.status = 'pending'),
        fetched = fetched + (NEW.status = 'fetched') - (OLD.status = 'fetched'),
        redirected = redirected + (NEW.status = 'redirected') - (OLD.status = 'redirected'),
        excluded = excluded + (NEW.status = 'excluded') - (OLD.status = 'excluded'),
        gone = gone + (NEW.status = 'gone') - (OLD.status = 'gone'),
        failed = failed + (NEW.status = 'failed') - (OLD.status = 'failed')
    WHERE id = NEW.host_id;
END;

-- One row an attempt, only ever added.
CREATE TABLE fetches (
    id INTEGER PRIMARY KEY,
    url_id INTEGER NOT NULL REFERENCES urls (id),
    run_id INTEGER NOT NULL REFERENCES runs (id),
    started_at REAL NOT NULL,
    elapsed_s REAL NOT NULL,
    status_code INTEGER,        -- NULL where there was no answer; then failure says why
    failure TEXT,
    message TEXT,
    content_type TEXT,
    bytes INTEGER,              -- decoded; of a body that was not read, the declared length
    truncated INTEGER NOT NULL DEFAULT 0,
    redirect_url TEXT,
    address TEXT,
    reused INTEGER NOT NULL DEFAULT 0,      -- 1: on a connection that was already open
    body_hash BLOB,             -- of a body that no parser could read; NULL otherwise, and with --no-bodies
    first_byte_s REAL,          -- from the sent request to the first byte of the response; NULL: none came, or not known
    head_id INTEGER,            -- the row of `heads` with its header fields; NULL: no response, --no-headers, or not known
    head_values TEXT            -- JSON array: the values that stand there as their places in it
);
CREATE INDEX fetches_unread ON fetches (url_id) WHERE body_hash IS NOT NULL;
CREATE INDEX fetches_gone ON fetches (url_id) WHERE status_code IN (404, 410); -- which of them a URL that is gone answered

-- The header fields of responses, once for all that differ in nothing but the values that no two responses share (Date,
-- ETag, ids of requests ...), which stand with the response itself.
CREATE TABLE heads (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,  -- BLAKE2b, 16 bytes, of `fields`
    fields TEXT NOT NULL        -- JSON: [[name, value], ...]; a number: the place of the value in fetches.head_values
);

-- One row for each distinct version of a URL's content or metadata.
CREATE TABLE pages (
    id INTEGER PRIMARY KEY,
    url_id INTEGER NOT NULL REFERENCES urls (id),
    fetch_id INTEGER NOT NULL REFERENCES fetches (id),
    title TEXT,
    description TEXT,
    language TEXT,
    canonical_url TEXT,
    text TEXT NOT NULL,
    encoding TEXT NOT NULL,
    headings TEXT NOT NULL,     -- JSON: [[level, text], ...]
    open_graph TEXT NOT NULL,   -- JSON object
    json_ld TEXT NOT NULL,      -- JSON array of the scripts' texts, as they stood
    noindex INTEGER NOT NULL DEFAULT 0,
    nofollow INTEGER NOT NULL DEFAULT 0,
    truncated INTEGER NOT NULL DEFAULT 0,
    links_total INTEGER NOT NULL DEFAULT 0,
    body_hash BLOB,             -- NULL with --no-bodies
    content_hash BLOB NOT NULL, -- covers text and links
    reader_version INTEGER,     -- of the reader that made this row; NULL: that of 0.1.0
    metadata_hash BLOB,         -- covers title to language, robots, JSON-LD, Open Graph, hreflang, dates, author
    content_type TEXT,          -- the media type that it was read as; NULL: HTML, by a version that kept none
    encoding_source TEXT,       -- what named the encoding: bom, header, meta, xml, guess, default
    metas TEXT,                 -- JSON object of <meta name=...>: a text, or an array of texts where it is repeated
    author TEXT,
    published_at REAL,
    modified_at REAL,
    alternates TEXT,            -- JSON: [[url, kind, language, media type, title], ...]
    next_url TEXT,
    prev_url TEXT,
    site_name TEXT,
    icon_url TEXT,
    resources TEXT,             -- JSON: [[kind, url, alt, width, height], ...]
    link_details TEXT,          -- JSON: [[target_id, position, anchor, fragment], ...]
    fields TEXT                 -- JSON object: what hooks or a reader of the user's have added; NULL: nothing
);
CREATE INDEX pages_of_url ON pages (url_id);

CREATE TABLE links (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    target_id INTEGER NOT NULL REFERENCES urls (id),
    anchor TEXT NOT NULL,
    rel TEXT NOT NULL,
    nofollow INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page_id, target_id)
) WITHOUT ROWID;

-- Equal bytes are kept once.
CREATE TABLE bodies (
    hash BLOB NOT NULL UNIQUE,  -- BLAKE2b, 16 bytes, of the decoded body
    size INTEGER NOT NULL,      -- before compression
    zstd BLOB NOT NULL
);

-- What a sitemap or feed names, as it was read last; which sitemap that is, `urls` says.
CREATE TABLE sitemap_entries (
    sitemap_id INTEGER NOT NULL REFERENCES urls (id),
    url_id INTEGER NOT NULL REFERENCES urls (id),
    lastmod REAL,               -- NULL: it says nothing of that
    data TEXT,                  -- JSON object of what else it says: priority, changefreq, alternates, images, title
    PRIMARY KEY (sitemap_id, url_id)
) WITHOUT ROWID;
CREATE INDEX sitemap_entries_of_url ON sitemap_entries (url_id);

-- How alike the pages of a place of a host change, as looks at them have shown. What is lost is learnt anew.
CREATE TABLE places (
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    place TEXT NOT NULL,        -- /blog/, /calendar?month&year, elsewhere
    run_id INTEGER NOT NULL,    -- the last run that has added to it
    looks REAL NOT NULL,        -- older ones fade
    scores BLOB NOT NULL,       -- little-endian doubles: how well each prior has foretold the looks
    PRIMARY KEY (host_id, place)
) WITHOUT ROWID;

-- URLs that are only checked (`--check`): external links, which are excluded in urls, and what pages load.
CREATE TABLE checks (
    id INTEGER PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    link_run INTEGER,           -- the last run that found a link to it on a current page; NULL: there is none
    resource_run INTEGER,       -- the last run that found a current page that loads it; NULL: there is none
    hops INTEGER NOT NULL DEFAULT 0,        -- redirects in a row that led here
    attempts INTEGER NOT NULL DEFAULT 0,    -- failed ones of a check that is not over
    due_at REAL,                -- NULL: nothing is planned
    run_id INTEGER,             -- the run that checked it last; NULL: none has, and all that follows is unknown
    checked_at REAL,
    verdict TEXT,               -- good, gone, blocked, unreachable, failed, loop, not_asked, redirected
    cause TEXT,                 -- http 404, dns, robots: line 3: Disallow: /x ...; NULL: all is well
    status_code INTEGER,
    message TEXT,               -- a failure in words
    redirect_url TEXT,          -- whose row, here or in urls, has the verdict
    recent TEXT NOT NULL DEFAULT '',        -- the last ten verdicts, the newest last: + good, - not
    good_at REAL,               -- when it was good last
    broken_since REAL           -- the first verdict since then that was not; NULL: it is good
);
CREATE INDEX checks_due ON checks (host_id, due_at) WHERE due_at IS NOT NULL;

-- What has happened to pages, one row for each change, in the order of commits: `crawler changes` tells them by their
-- ids, of which none is used twice. A visit may make two rows, one of a version and one of a state.
CREATE TABLE change_log (
    id INTEGER PRIMARY KEY,
    url_id INTEGER NOT NULL REFERENCES urls (id),
    run_id INTEGER NOT NULL,
    at REAL NOT NULL,           -- when the crawler noticed
    change TEXT NOT NULL,       -- of a version: new, changed, metadata; of a state: gone, moved, back, withdrawn, broken, healed
    page_id INTEGER,            -- the version, which `crawler prune` may have removed; NULL: a change of state
    detail TEXT                 -- where it moved to, why it is withdrawn, gone or broken; NULL otherwise
);
CREATE INDEX change_log_states ON change_log (url_id) WHERE page_id IS NULL;

-- Up to which row `crawler prune` has removed some of `change_log`; no row: none.
CREATE TABLE change_log_pruned (
    upto INTEGER NOT NULL
);

-- WARC files of `crawl --warc`. Each transaction holds their lengths as of its own records: after a kill, what stands
-- behind them is cut off.
CREATE TABLE warc_files (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,       -- where it was made
    bytes INTEGER NOT NULL,
    index_bytes INTEGER NOT NULL,           -- of the lines of its index, until that is sorted
    is_closed INTEGER NOT NULL DEFAULT 0
);

-- Payloads that a response record in the WARC files holds whole; later records of the same refer to it.
CREATE TABLE warc_payloads (
    key BLOB PRIMARY KEY,       -- of payloads that are equal, in the same coding
    digest BLOB NOT NULL,       -- SHA-1, as in the record
    record_id BLOB NOT NULL,    -- the record's UUID
    url TEXT NOT NULL,
    at REAL NOT NULL            -- the record's date
) WITHOUT ROWID;

-- The payload that a URL's last response had: what its 304 refers to.
CREATE TABLE warc_urls (
    url_id INTEGER PRIMARY KEY REFERENCES urls (id),
    key BLOB NOT NULL
);

-- The extraction rules that were ever used. Each has a view extract_NAME. The stored pages after read_upto, up to
-- unread_upto, were stored before the rule was what it is, and `crawler extract` has not read them by it yet.
CREATE TABLE extraction_rules (
    name TEXT NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL,   -- JSON: the [[extract]] table of the crawl file
    read_upto INTEGER NOT NULL DEFAULT 0,
    unread_upto INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- What the rules have found, a row for each page or element.
CREATE TABLE extracts (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    rule TEXT NOT NULL,
    n INTEGER NOT NULL,         -- from 1, in the order of the page
    data TEXT NOT NULL,         -- JSON object: the fields
    PRIMARY KEY (page_id, rule, n)
) WITHOUT ROWID;
CREATE INDEX extracts_of_rule ON extracts (rule);

-- Where a rule that is for a page has not found all that it asks for.
CREATE TABLE extract_misses (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    rule TEXT NOT NULL,
    run_id INTEGER,             -- the run that noticed; NULL: `crawler extract`
    found INTEGER NOT NULL,     -- rows that it has found all the same
    lacking TEXT NOT NULL,      -- JSON array of the required fields that an element lacked, so that it gave no row
    cut INTEGER NOT NULL,       -- 1: there was more than is kept
    lost INTEGER NOT NULL,      -- 1: nothing is found, and on an earlier version of the page something was
    PRIMARY KEY (page_id, rule)
) WITHOUT ROWID;
