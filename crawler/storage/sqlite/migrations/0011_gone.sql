-- Whether a URL that is gone answered 404 or 410.

CREATE INDEX fetches_gone ON fetches (url_id) WHERE status_code IN (404, 410);
