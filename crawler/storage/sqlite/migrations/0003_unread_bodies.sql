-- What no parser could read is kept all the same: a page has its body in pages.body_hash, a parse_timeout here.
ALTER TABLE fetches ADD COLUMN body_hash BLOB;  -- of a body that could not be read; NULL otherwise, and with --no-bodies
CREATE INDEX fetches_unread ON fetches (url_id) WHERE body_hash IS NOT NULL;
