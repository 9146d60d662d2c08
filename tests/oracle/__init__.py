"""What a browser makes of bytes, of text and of links: the independent answer that ours are compared with."""
