"""`crawler demo`: a small web on loopback to look at (`web`), and its crawl (`crawl`)."""
