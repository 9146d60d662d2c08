-- What hooks and readers of the user's add to a page.
ALTER TABLE pages ADD COLUMN fields TEXT;
-- WARC files, and the payloads in them that later records refer to.
CREATE TABLE warc_files (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    index_bytes INTEGER NOT NULL,
    is_closed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE warc_payloads (
    key BLOB PRIMARY KEY,
    digest BLOB NOT NULL,
    record_id BLOB NOT NULL,
    url TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE warc_urls (
    url_id INTEGER PRIMARY KEY REFERENCES urls (id),
    key BLOB NOT NULL
);

-- Extraction rules, and what they find.

CREATE TABLE extraction_rules (
    name TEXT NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL,
    read_upto INTEGER NOT NULL DEFAULT 0,
    unread_upto INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE extracts (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    rule TEXT NOT NULL,
    n INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (page_id, rule, n)
) WITHOUT ROWID;
CREATE INDEX extracts_of_rule ON extracts (rule);

CREATE TABLE extract_misses (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    rule TEXT NOT NULL,
    run_id INTEGER,
    found INTEGER NOT NULL,
    lacking TEXT NOT NULL,
    cut INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    PRIMARY KEY (page_id, rule)
) WITHOUT ROWID;
