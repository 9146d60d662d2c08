"""The small web that `crawler demo` crawls: a harbour town and its institutions. Content only.

Seven hosts, about 250 pages that link to each other, and one example of everything that a crawler meets on the web:
rules in robots.txt, a sitemap with pages that no page links to, redirects of every kind, temporary and permanent
errors, a slow host, one that asks for a pause, duplicates, files, and old encodings. Invariant: the web is the same
every time, word for word, with at most 60 pages per host, so a crawl ends within seconds at a polite pace.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from random import Random

from crawler.fakeweb import Answer, FakeWeb, Site

# The seeds, without ports: `Served.with_ports` adds them. Everything else is found from here.
DEMO_SEEDS = ("http://harbour.test/", "http://market.test/", "http://weather.test/")

# fmt: off
_SHIPS = (
    "Albatross", "Bright Morning", "Calliope", "Dunlin", "Eider", "Fair Isle", "Good Intent", "Halcyon", "Iris", "Juno",
    "Kittiwake", "Lady of the Lake", "Merganser", "Northern Light", "Osprey", "Petrel", "Quiet Hour", "Redshank",
    "Sandpiper", "Turnstone", "Undine", "Venture", "Whimbrel", "Zephyr",
)
_KINDS = ("schooner", "brig", "ketch", "coaster", "lugger", "pilot cutter", "steam tug", "barge")
_TRAITS = (
    "fast in light air", "slow but never late", "known for her green hull", "easy to steer", "wet in a head sea",
    "fond of fair weather", "the pride of the yard", "older than her captain",
)
_CARGOES = (
    "tea and silk", "salted herring", "roofing slate", "oak timber", "lamp oil", "crates of oranges",
    "letters and parcels", "coal", "barley for the brewery", "clay pipes", "wool", "blocks of ice",
)
_PORTS = ("Saltmarsh", "Greywater", "Kestrel Bay", "the Outer Isles", "Lanternhead", "Old Ferry", "Thornmouth")
_QUAYS = ("Customs Quay", "Herring Quay", "Lantern Quay", "Long Quay", "North Quay", "Ropewalk Quay", "Timber Quay")
_WINDS = ("rough south-easter", "soft south wind", "sharp northerly", "steady westerly", "morning breeze")
_SUBJECTS = (
    "Knots", "Tides", "Lighthouses", "Whales", "Charts", "Storms", "Sea Birds", "Harbour Bells", "Shipwrecks", "Sails",
    "Stars", "Smugglers", "Ferries", "Fog",
)
_BOOKS = ("A Short History of {}", "{} for Patient Beginners", "The Secret Life of {}")
_AUTHORS = ("Ada Marlowe", "Bram Teller", "Cora Finch", "Edmund Vale", "Ines Harrow", "Jonas Pike", "Maud Sterling")
_VERBS = ("explains", "remembers", "measures", "defends", "laughs at", "draws with great care")
_READERS = ("apprentices", "retired pilots", "children on rainy days", "people waiting for a ferry", "careful captains")
_OBJECTS = (
    "figurehead", "sextant", "sea chest", "ship's bell", "diving helmet", "model of a brig", "harpoon", "log book",
    "barometer", "pilot's coat", "carved tusk", "telegraph", "lighthouse lens", "anchor stock",
)
_HALLS = ("north hall", "long gallery", "cellar")
_FINDS = ("was raised from the wreck of", "came ashore in the great storm that took", "was given by the last cook of")
_GOODS = (
    "oilskin coat", "brass compass", "sea chart", "tarred rope", "storm lantern", "herring barrel", "pair of sea boots",
    "pocket telescope", "wool blanket", "copper kettle", "fishing net", "clay pipe", "honey cake", "smoked eel",
    "tin whistle", "tide clock",
)
_MAKES = ("plain", "second-hand", "fine")
_MERITS = ("light in the hand", "mended twice", "proof against rain", "made to be lost", "better than it looks")
_STALLS = ("Brine and Daughters", "The Dry Sailor", "Quayside Brass", "Nettle the Ropemaker", "Old Harbour Bakery")
_SKIES = ("Clear until noon", "Fog before sunrise", "Showers from the sea", "High thin cloud", "Thunder in the evening")
_SEAS = ("a flat calm", "a long swell", "short steep waves", "white horses beyond the mole")
# fmt: on


def demo_web() -> FakeWeb:
    """Declare the demo's web. It is a new one each time, because two of its responses change on the second request."""
    web = FakeWeb()
    random = Random("harbour")
    web.host("harbour.test").redirect("/", "http://www.harbour.test/", status=301)
    _declare_town(web.host("www.harbour.test"), random)
    _declare_library(web.host("library.harbour.test"), random)
    _declare_museum(web.host("museum.harbour.test"), random)
    _declare_archive(web.host("slow.harbour.test"), random)
    _declare_market(web.host("market.test"), random)
    _declare_weather(web.host("weather.test"), random)
    return web


def _declare_town(site: Site, random: Random) -> None:
    site.robots("# Robots are welcome.\nUser-agent: *\nDisallow: /private/\nAllow: /private/open-day\n")
    site.page(
        "/",
        title="The Town of Harbour",
        text="Ships come in with the tide and leave with the news.\n\nHere you will find the quays, the ships moored "
        "there, and the harbour master's notices. The library, the museum and the market have pages of their own.",
        links=[
            ("/ships/", "Ships in port"),
            ("/quays/", "The quays"),
            ("/notices/", "Notices"),
            ("http://library.harbour.test/", "The library"),
            ("//museum.harbour.test/", "The museum"),
            ("http://slow.harbour.test/", "The archive (please be patient)"),
            ("http://market.test/", "The market"),
            ("/harbour-master", "The harbour master"),
            ("/contact.html", "Our old contact page"),
            ("/guestbook", "Guest book"),
            ("/staff", "Staff only"),
            ("/private/cash-book", "Cash book"),
            ("/private/open-day", "Open day"),
            ("/lost-and-found", "Lost and found"),  # not declared: 404
            ("/the-old-bridge", "The old bridge"),
        ],
        head='<meta name="description" content="Ships, quays and notices of a small harbour town.">\n'
        '<meta property="og:title" content="The Town of Harbour">\n<meta property="og:type" content="website">\n',
    )
    _declare_town_hall(site)
    _declare_ships(site, random)
    _declare_quays(site, random)
    _declare_notices(site, random)


def _declare_town_hall(site: Site) -> None:
    """Pages that each test one thing that a crawler must handle."""
    site.redirect("/contact.html", "/contact", status=301)
    site.page("/contact", title="Contact", text="Ring the bell on Long Quay. Someone will come.", links=[_TOWN])
    site.page(
        "/harbour-master",
        title="This page has moved",
        text="The harbour master has moved to another room.",
        head='<meta http-equiv="refresh" content="0; url=/contact">\n',
    )
    site.status("/the-old-bridge", 410)
    site.page("/private/cash-book", title="Cash book", text="No crawler should read this.")
    site.page(
        "/private/open-day",
        title="Open day",
        text="Once a year, the pilots open their tower to visitors.",
        links=[_TOWN],
    )
    site.page(
        "/staff",
        title="Staff only",
        text="The key of the signal tower hangs behind the barometer.",
        links=[_TOWN],
        head='<meta name="robots" content="noindex">\n',
    )
    site.page(
        "/guestbook",
        title="Guest book",
        text="Visitors write whatever they like here, so we do not vouch for their links.",
        links=["/guestbook/cheap-sails", "/guestbook/miracle-tar"],
        head='<meta name="robots" content="nofollow">\n',
    )


def _declare_ships(site: Site, random: Random) -> None:
    pick = random.choice
    site.page("/ships/", title="Ships in port", links=[_TOWN, *_entries("/ships", _SHIPS)])
    for ship in _SHIPS:
        first, second = random.sample(_PORTS, 2)
        others = [*_entries("/ships", random.sample(_SHIPS, 3)), *_entries("/quays", [pick(_QUAYS)])]
        site.page(
            _path("/ships", ship),
            title=f"The {pick(_KINDS)} {ship}",
            text=f"The {ship} was built in {random.randrange(1820, 1900)} and is {pick(_TRAITS)}. She carries "
            f"{pick(_CARGOES)} between {first} and {second}.\n\nIn a {pick(_WINDS)} she lies at {pick(_QUAYS)}, and "
            f"her crew of {random.randrange(4, 30)} can be found at the market.",
            links=[("/ships/", "Ships in port"), *others],
        )


def _declare_quays(site: Site, random: Random) -> None:
    pick = random.choice
    site.page("/quays/", title="The quays", links=[_TOWN, *_entries("/quays", _QUAYS)])
    for quay in _QUAYS:
        site.page(
            _path("/quays", quay),
            title=quay,
            text=f"{quay} is {random.randrange(60, 300)} paces long and {random.randrange(2, 9)} fathoms deep at low "
            f"water. Most of what lands here is {pick(_CARGOES)}; a {pick(_WINDS)} makes it a poor berth.",
            links=[("/quays/", "The quays"), *_entries("/ships", random.sample(_SHIPS, 3))],
        )


def _declare_notices(site: Site, random: Random) -> None:
    pick = random.choice
    notices = [(f"/notices/{number}", f"Notice {number}") for number in range(1, 13)]
    site.page("/notices/", title="Notices to mariners", links=[_TOWN, *notices])
    for path, name in notices:
        ship, port, quay = pick(_SHIPS), pick(_PORTS), pick(_QUAYS)
        site.page(
            path,
            title=f"{name}: the {ship} is expected from {port}",
            text=f"The {ship} is expected from {port} with {pick(_CARGOES)}. Small boats keep clear of {quay} until "
            "the black ball is lowered from the signal tower.",
            links=[("/notices/", "All notices"), *_entries("/ships", [ship]), *_entries("/quays", [quay])],
        )


def _declare_library(site: Site, random: Random) -> None:
    pick = random.choice
    books = [pattern.format(subject) for subject in _SUBJECTS for pattern in _BOOKS]
    author_of = {book: pick(_AUTHORS) for book in books}
    site.page(
        "/",
        title="The Harbour Library",
        text="Silence, please: the books are asleep.",
        links=[("http://www.harbour.test/", "The town"), *_entries("/authors", _AUTHORS)],
    )
    for author in _AUTHORS:
        works = [book for book in books if author_of[book] == author]
        text = f"Everything by {author} that we know of."
        site.page(_path("/authors", author), title=author, text=text, links=[_LIBRARY, *_entries("/books", works)])
    for book, author in author_of.items():
        site.page(
            _path("/books", book),
            title=book,
            text=f"In {book}, {author} {pick(_VERBS)} what others only mention. It has {random.randrange(90, 700)} "
            f"pages, and we lend it to {pick(_READERS)}.\n\nThe copy with the water stain came from the "
            f"{pick(_SHIPS)}, after a voyage to {pick(_PORTS)}.",
            links=[*_entries("/authors", [author]), *_entries("/books", random.sample(books, 2))],
        )
    _declare_reading_rooms(site, random, sitemap=[_path("/books", book) for book in books])


def _declare_reading_rooms(site: Site, random: Random, sitemap: list[str]) -> None:
    rooms = [f"/reading-room/{number}" for number in range(1, 7)]
    for number, path in enumerate(rooms, start=1):
        text = f"It has {random.randrange(2, 12)} chairs and a view of {random.choice(_QUAYS)}. No page links here."
        site.page(path, title=f"Reading room {number}", text=text, links=[_LIBRARY])
    site.sitemap("/sitemap.xml", ["/", *rooms, *sitemap])
    site.robots("User-agent: *\nDisallow:\n\nSitemap: http://library.harbour.test/sitemap.xml\n")


def _declare_museum(site: Site, random: Random) -> None:
    pick = random.choice
    exhibits = [f"{thing} in the {hall}" for thing in _OBJECTS for hall in _HALLS]
    site.robots("User-agent: *\nCrawl-delay: 0.1\n")
    site.page(
        "/",
        title="Museum of the Sea",
        text="Please touch the exhibits gently.",
        links=[
            ("http://www.harbour.test/", "The town"),
            ("/catalogue.pdf", "Catalogue"),
            ("/floor-plan.png", "Floor plan"),
            ("/cafe", "Café"),
            ("/japan", "Guests from Japan"),
            *_entries("/exhibits", exhibits),
        ],
    )
    for exhibit in exhibits:
        site.page(
            _path("/exhibits", exhibit),
            title=f"The {exhibit}",
            text=f"This {exhibit.partition(' in the ')[0]} {pick(_FINDS)} the {pick(_SHIPS)}. It has stood here since "
            f"{random.randrange(1900, 1990)}, and on some nights the guard swears that it smells of {pick(_CARGOES)}.",
            links=[_MUSEUM, *_entries("/exhibits", random.sample(exhibits, 2))],
        )
    _declare_files_and_encodings(site)


def _declare_files_and_encodings(site: Site) -> None:
    site.page("/catalogue.pdf", body=_PDF, content_type="application/pdf")
    site.page("/floor-plan.png", body=_grey_png(64, 64), content_type="image/png")
    site.page(
        "/cafe",
        title="Café of the Museum",
        text="Crème brûlée, naïve paintings and “proper” tea – from 3 to 6.",
        links=[_MUSEUM],
        encoding="windows-1252",
    )
    site.page(
        "/japan",
        title="日本からのお客様へ",
        text="海の博物館へようこそ。灯台のレンズは北の間にあります。",
        links=[_MUSEUM],
        language="ja",
        encoding="shift_jis",
        content_type="text/html",  # no charset: only the document's <meta> has it
    )


def _declare_archive(site: Site, random: Random) -> None:
    pick = random.choice
    years = [(f"/years/{year}", f"The year {year}") for year in range(1851, 1858)]
    text = "The archivist is old and walks to every shelf himself."
    site.page("/", title="The Slow Archive", text=text, links=years, delay_s=0.8)
    for path, name in years:
        text = f"{name} began with a {pick(_WINDS)}. The {pick(_SHIPS)} brought {pick(_CARGOES)} from {pick(_PORTS)}."
        site.page(path, title=name, text=text, links=[("/", "The archive")], delay_s=0.8)


def _declare_market(site: Site, random: Random) -> None:
    goods = [f"{make} {thing}" for thing in _GOODS for make in _MAKES]
    price_of = {name: random.randrange(2, 90) for name in goods}
    site.robots("User-agent: *\nDisallow: /basket\nDisallow: /*?sort=\n")
    site.page(
        "/",
        title="The Market on the Quay",
        text="Open when the ships are in. Haggling is welcome before nine.",
        links=[
            *_entries("/stalls", _STALLS),
            ("/today", "Today's bargain"),
            ("/prices", "Price list"),
            ("/basket", "Your basket"),
            ("/?sort=price", "Cheapest first"),
            ("http://www.harbour.test/ships/", "Ships in port"),
        ],
        head='<meta property="og:title" content="The Market on the Quay">\n'
        '<meta property="og:image" content="http://museum.harbour.test/floor-plan.png">\n',
    )
    site.redirect("/today", _path("/goods", goods[0]), status=302)
    site.page("/basket", title="Your basket", text="It is empty.")
    prices = "\n\n".join(f"{name}: {price} shillings" for name, price in price_of.items())
    site.page("/prices", title="Price list", text=prices, links=[_MARKET], headers={"X-Robots-Tag": "noindex"})
    for number, stall in enumerate(_STALLS):
        offers = _entries("/goods", goods[number :: len(_STALLS)])
        again = f"{offers[0][0]}?from={_slug(stall)}"  # the same page under another URL: see its rel=canonical
        text = f"{stall}: honest goods since the flood."
        site.page(_path("/stalls", stall), title=stall, text=text, links=[_MARKET, *offers, (again, "Our best")])
    for name, price in price_of.items():
        _declare_offer(site, random, name, price, also=random.sample(goods, 2))


def _declare_offer(site: Site, random: Random, name: str, price: int, also: list[str]) -> None:
    pick = random.choice
    path = _path("/goods", name)
    site.page(
        path,
        title=f"{name.capitalize()} for {price} shillings",
        text=f"A {name}, {pick(_MERITS)}. It came on the {pick(_SHIPS)} with {pick(_CARGOES)}, and whoever bought one "
        f"was glad of it in a {pick(_WINDS)}.",
        links=[_MARKET, *_entries("/goods", also)],
        head=f'<link rel="canonical" href="http://market.test{path}">\n<meta property="og:type" content="product">\n'
        '<script type="application/ld+json">{"@context": "https://schema.org", "@type": "Product", '
        f'"name": "{name}", "offers": {{"@type": "Offer", "price": "{price}"}}}}</script>\n',
    )


def _declare_weather(site: Site, random: Random) -> None:
    pick = random.choice
    days = {day: (f"/days/{day}", f"Day {day}") for day in range(1, 31)}
    site.page(
        "/",
        title="Weather at the Mole",
        text="Written down every morning by the keeper of the light.",
        links=[days[1], ("/forecast", "Forecast"), ("/tides", "Tide table")],
    )
    for day, (path, name) in days.items():
        text = (
            f"{pick(_SKIES)}, with {pick(_SEAS)} and a {pick(_WINDS)}. The {pick(_SHIPS)} passed the light at "
            f"{random.randrange(2, 9)} bells, bound for {pick(_PORTS)}."
        )
        later = [days[following] for following in (day + 1, day + 7) if following in days]
        site.page(path, title=f"{name} of the month", text=text, links=[("/", "Weather"), *later])
    forecast = Answer.page(title="Forecast", text="Tomorrow will be like today, unless it is different.", links=["/"])
    site.sequence("/forecast", Answer(status=500, body="The instrument froze.", content_type="text/plain"), forecast)
    tides = Answer.page(title="Tide table", text="High water at Long Quay: a little later every day.", links=["/"])
    site.sequence("/tides", Answer(status=429, headers={"Retry-After": "1"}), tides)


def _entries(folder: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """Links, each with its anchor."""
    return [(_path(folder, name), name) for name in names]


def _path(folder: str, name: str) -> str:
    return f"{folder}/{_slug(name)}"


def _slug(name: str) -> str:
    return name.lower().replace("'", "").replace(" ", "-")


def _grey_png(width: int, height: int) -> bytes:
    """A plain grey image (W3C PNG specification: signature, IHDR, IDAT, IEND)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\x00" + b"\x80" * width) * height)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


_TOWN = ("/", "The Town of Harbour")
_LIBRARY = ("/", "The Harbour Library")
_MUSEUM = ("/", "Museum of the Sea")
_MARKET = ("/", "The Market on the Quay")
_PDF = b"""%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >> endobj
trailer << /Root 1 0 R >>
%%EOF
"""
