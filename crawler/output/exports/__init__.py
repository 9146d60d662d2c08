"""What `crawler export` writes: a crawl's pages in the formats that other tools read.

A format is a file of its own here, with a coroutine `write(export)`, and a line in the table of `formats`. What it gets
is an `export.Export`: the pages that were chosen, one after the other, and where they go. Formats in which each page is
a document (text, Markdown) hand their documents to `documents`, which writes them as one stream or into a folder.
Invariant: no format holds more than some pages at a time, or writes what could be taken for whole when it is not.
"""
