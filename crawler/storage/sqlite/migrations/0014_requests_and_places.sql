-- Limits of requests, for a run and for a host: how many were sent, and how many may have been, should the run be killed.
-- And places whose pages change alike, with the moment at which all pages of a host have changed at once.

ALTER TABLE runs ADD COLUMN requests_noted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN run_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN run_requests_noted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN redesigned_at REAL;

CREATE TABLE places (
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    place TEXT NOT NULL,        -- /blog/, /calendar?month&year, elsewhere
    run_id INTEGER NOT NULL,    -- the last run that has added to it
    looks REAL NOT NULL,        -- older ones fade
    scores BLOB NOT NULL,       -- little-endian doubles: how well each prior has foretold the looks
    PRIMARY KEY (host_id, place)
) WITHOUT ROWID;
