-- What reports, search and exports ask of a page and of a visit. What older versions did not keep is NULL.

ALTER TABLE urls ADD COLUMN found_on INTEGER;   -- urls.id of the page, sitemap or redirect that first named it
ALTER TABLE urls ADD COLUMN found_by TEXT;      -- how: seed, link, redirect, canonical, refresh, sitemap, robots, feed, guess

ALTER TABLE fetches ADD COLUMN first_byte_s REAL;   -- from the sent request to the first byte of the response
ALTER TABLE fetches ADD COLUMN head_id INTEGER;     -- the row of `heads` with its header fields; NULL with --no-headers
ALTER TABLE fetches ADD COLUMN head_values TEXT;    -- JSON array: the values that stand there as their places in it

CREATE TABLE heads (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    fields TEXT NOT NULL
);

ALTER TABLE pages ADD COLUMN reader_version INTEGER;    -- of the reader that made this row; NULL: that of 0.1.0
ALTER TABLE pages ADD COLUMN metadata_hash BLOB;
ALTER TABLE pages ADD COLUMN content_type TEXT;
ALTER TABLE pages ADD COLUMN encoding_source TEXT;
ALTER TABLE pages ADD COLUMN metas TEXT;
ALTER TABLE pages ADD COLUMN author TEXT;
ALTER TABLE pages ADD COLUMN published_at REAL;
ALTER TABLE pages ADD COLUMN modified_at REAL;
ALTER TABLE pages ADD COLUMN alternates TEXT;
ALTER TABLE pages ADD COLUMN next_url TEXT;
ALTER TABLE pages ADD COLUMN prev_url TEXT;
ALTER TABLE pages ADD COLUMN site_name TEXT;
ALTER TABLE pages ADD COLUMN icon_url TEXT;
ALTER TABLE pages ADD COLUMN resources TEXT;
ALTER TABLE pages ADD COLUMN link_details TEXT;
