-- What hooks and readers of the user's add to a page.
ALTER TABLE pages ADD COLUMN fields TEXT;
