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
