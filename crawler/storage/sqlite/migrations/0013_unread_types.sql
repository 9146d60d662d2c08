-- Documents that are no pages are asked for with a condition, too, as long as nobody can read them.

ALTER TABLE urls ADD COLUMN unread_type TEXT;   -- the Content-Type of a document that was no page; NULL: it was one, or nobody knows
