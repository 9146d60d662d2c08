"""A small shop with one fault of each kind, on two days: what a report has to find, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.fakeweb import Answer, FakeWeb, Site

# In a link's text, a title and a header: markup, an event handler, a terminal's commands, a mention, a table's bar.
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>\x9b2J\u202e|`@all`"
STORY = " ".join(f"word{number * number}" for number in range(800))  # a long one, without repetition
LONG_TITLE = "A title that goes on and on, of which a search engine would show no more than the beginning"
LONG_DESCRIPTION = "A description that goes on and on. " * 6

_HOME = [
    ("/dead", HOSTILE), ("/forbidden", "no entry"), ("/error", "out of order"), ("/old", "moved"),
    ("/to-dead", "moved away"), ("/loop-a", "round"), ("/private/1", "private"),
    ("http://elsewhere.test/", "elsewhere"), ("http://wall.test/", "wall"),
    ("/one", "1"), ("/two", "2"), ("/copy", "3"), ("/untitled", "?"),
    ("/twin-1", "t1"), ("/twin-2", "t2"),
    ("/long", "long"), ("/plain", "plain"), ("/for-dead", "c"), ("/de", "German"), ("/data", "data"),
    ("/hidden", "hidden"), ("/x/x/x/x/x", "deep"), ("/large", "large"), ("/ok", "ok"), ("/leaving", "leaving"),
    ("/story-1", "a story"), ("/story-2", "it again"),
]  # fmt: skip


def shop() -> FakeWeb:
    """The shop on its first day."""
    web = FakeWeb()
    site = web.host("shop.test")
    site.robots("User-agent: *\nDisallow: /private\nSitemap: http://shop.test/sitemap.xml\n")
    site.sitemap("/sitemap.xml", ["/orphan", "/dead", "/old", "/hidden", "/ok"])
    page(site, "/", "Home", links=_HOME)
    page(site, "/ok", "Ok", links=["/", ("/dead", "dead, too")], markup='<img src="/missing.png" alt="a picture">')
    site.status("/forbidden", 403)
    site.status("/error", 500)
    site.redirect("/old", "/older")
    site.redirect("/older", "/new")
    site.redirect("/to-dead", "/dead")
    site.redirect("/loop-a", "/loop-b")
    site.redirect("/loop-b", "/loop-a")
    page(site, "/new", "New")
    for path in ("/one", "/two"):
        page(site, path, "One and two", text="the same", describe="the same")
    site.page("/copy", title="One and two", text="the same", head='<link rel="canonical" href="/one">')
    site.page("/untitled", text="untitled", head=described("untitled"))
    page(site, "/twin-1", "Twins")
    page(site, "/twin-2", "Twins")
    page(site, "/long", LONG_TITLE, describe=LONG_DESCRIPTION)
    site.page("/plain", title="Plain", text="plain")
    page(site, "/for-dead", "For the dead", head='<link rel="canonical" href="/dead">')
    page(site, "/de", "Deutsch", head='<link rel="alternate" hreflang="en" href="/ok">')
    page(site, "/data", "Data", head='<script type="application/ld+json">{"@type": Product}</script>')
    page(site, "/hidden", "Hidden", head='<meta name="robots" content="noindex">')
    page(site, "/large", "Large", text="large " * 200_000)
    page(site, "/orphan", "Orphan")
    page(site, "/story-1", "A story", text=STORY)
    page(site, "/story-2", "A story again", text=STORY.replace("word100 ", "verb "))
    page(site, "/leaving", "Leaving", links=["/dead", ("/places#here", "here"), ("/places#nowhere", "nowhere")])
    page(site, "/places", "Places", markup='<p id="here">Here</p>')
    site.answer("/1.png", Answer(content_type="image/png"))
    web.host("wall.test").status("/", 403)
    secure = web.host("secure.test", tls=True)
    secure.answer("/2.png", Answer(content_type="image/png"))
    page(secure, "/", "Secure", markup='<img src="http://shop.test/1.png" alt="one"><img src="/2.png" alt="two">')
    return web


def next_day(site: Site) -> None:
    """The home page links to the dead no more, one page heals, one goes."""
    page(site, "/", "Home", links=[link for link in _HOME if link[0] != "/dead"])
    page(site, "/error", "In order again")
    site.status("/leaving", 410)


def page(
    site: Site,
    path: str,
    title: str,
    *,
    describe: str = "",
    head: str = "",
    text: str = "",
    markup: str = "",
    links: Sequence[str | tuple[str, str]] = (),
) -> None:
    """A page that has all that it should have, but for what is given."""
    site.page(
        path,
        title=title,
        text=text or f"This is {path}.",
        links=links,
        head=described(describe or f"All about {path}") + head,
        markup=markup,
    )


def described(text: str) -> str:
    return f'<meta name="description" content="{text}">'
