-- A host has at most twice --max-urls-per-host rows. Links to what is beyond them are counted, and where they stand.

ALTER TABLE hosts ADD COLUMN unstored_links INTEGER NOT NULL DEFAULT 0; -- to URLs of it without a row
ALTER TABLE urls ADD COLUMN links_cut_at INTEGER;   -- the number that left links of it without a row; 0: it was raised

CREATE INDEX urls_cut ON urls (links_cut_at) WHERE links_cut_at IS NOT NULL;
