"""Workers of one crawl, and what happens to them: after every fault each page is stored, once."""
