"""A made-up site whose pages today's reader reads otherwise than version 0.1.0 did; varied_0_1_0.sql is a crawl of it,
made by old_crawls.py.
"""

from __future__ import annotations

from crawler.fakeweb import FakeWeb

HOST = "varied.test"
PORT = 8019
HTML = "text/html; charset=utf-8"

# Each path: its Content-Type, and its markup. `{nonce}` is something else at each visit, and nothing that is read.
PAGES: dict[str, tuple[str, str | bytes]] = {
    "/table": (HTML, "<title>Table</title><table><tr><td>a<td>b<tr><td>c<td>d</table>"),
    "/pre": (HTML, "<title>Pre</title><pre>def f():\n    return 1\n\n  two</pre>"),
    "/hidden": (HTML, "<title>Hidden</title><p>seen<p hidden>not seen<dialog>closed</dialog>"),
    "/shy": (
        HTML,
        "<title>Do\u00adnau\u00addampf\u200bschiff</title><h1>Donau\u00addampf</h1><a href='/table'>\u00adx</a>",
    ),
    "/buttons": (
        HTML,
        "<title>Buttons</title><button>one</button><button>two</button><a href='/pre'>p</a><a href='/shy'>s</a>",
    ),
    "/anchors": (
        HTML,
        "<title>Anchors</title><a href='/table'></a><a href='/table'>late</a><a href='/pre' title='T'></a>",
    ),
    "/meta": (
        HTML,
        "<title>Meta</title><meta name=description content=' '><meta name=description content=second>"
        "<meta property='og:image' content='/a.png'><meta property='og:image' content='/b.png'>text",
    ),
    "/gbk": ("text/html; charset=gbk", b"<title>\x80</title>\xa2\xe3 text"),
    "/query": ("text/html; charset=windows-1251", "<title>Q</title><a href='/search?q=да'>да</a>".encode("cp1251")),
    "/base": (HTML, "<title>Base</title><base href='/table'><a href=''>here</a>"),
    "/xhtml": (
        "application/xhtml+xml",
        "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>X</title><script src='a.js'/></head>"
        "<body>body</body></html>",
    ),
    "/nonce": (
        HTML,
        "<!-- {nonce} --><title>Nonce</title><table><tr><td>1<td>2</table><script nonce='{nonce}'>1</script>",
    ),
    "/plain": (HTML, "<title>Plain</title><p>Nothing about this is read otherwise."),
}


def varied_web(visit: str) -> FakeWeb:
    """The site as a visit finds it."""
    web = FakeWeb()
    site = web.host(HOST)
    links = "".join(f"<a href='{path}'>{path}</a>" for path in PAGES)
    site.page("/", body=f"<title>Home</title>{links}", content_type=HTML)
    site.page("/search?q=%D0%B4%D0%B0", body="<title>Found</title>by UTF-8", content_type=HTML)
    site.page("/search?q=%E4%E0", body="<title>Found</title>by windows-1251", content_type=HTML)
    for path, (content_type, markup) in PAGES.items():
        body = markup.replace("{nonce}", visit).encode() if isinstance(markup, str) else markup
        site.page(path, body=body, content_type=content_type)
    return web
