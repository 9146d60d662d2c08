"""The walk in C (`_walk`), where it can be used.

An accelerator, which need not be there: it is built where there is a compiler, and used where selectolax has what it
calls and where it finds the same in a document as the walk in Python does. It reads selectolax's tree through functions
of that library and changes nothing in it; what it leaves to Python is read by the walk in Python. It runs in parser
processes alone: what goes wrong in C may end a process.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

import selectolax.lexbor
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.content.hyperlinks import Grouped, Hrefs, LinkElement, grouped, read_links, read_rel
from crawler.content.resources import MEDIA_TAGS
from crawler.content.text_lines import lines_of
from crawler.content.visible_text import TAGS_BY_ROLE, collapse, tag_ids, take_text
from crawler.content.walk import GROUPS, HEADING_TAGS, Walk, Walked, walk

PYTHON_ONLY = "CRAWLER_PYTHON_WALK"  # an environment variable: anything in it, and the walk in C is not used

_INTERFACE = 5  # of the extension
_ELEMENT = 1  # the DOM's number for elements
_FLAGS = ("has_rows", "has_preformatted", "has_formulas")
_LEVELS = {tag: int(name[1]) for tag, name in HEADING_TAGS.items()}
_LINK_NAMES = {"anchor": "a", "area": "area", "frame": "iframe frame"}
_ROLES: Mapping[str, Collection[int]] = {
    **TAGS_BY_ROLE,
    **{role: tag_ids(names) for role, names in _LINK_NAMES.items()},
    "heading": GROUPS["headings"],
    "relation": GROUPS["relations"],
    "base": GROUPS["bases"],
    "meta": GROUPS["metas"],
    "script": GROUPS["scripts"],
    "image": GROUPS["images"],
    "medium": GROUPS["media"],
    "source": tag_ids("source"),
    "time": GROUPS["times"],
    "drawing": tag_ids("svg math"),
    "html_again": tag_ids("foreignobject"),
    "noscript": tag_ids("noscript"),
}
# Something of all that is read, in which the two walks are compared before the one in C is used.
_SPECIMEN = """<!DOCTYPE html><html lang=en><head><meta charset=utf-8><base href="/b/"><title>T</title>
<link rel=next href=n><meta name=a content="b c"><script type="application/ld+json">{"a": 1}</script></head>
<body class="x y"><h1>One <i>t</i>wo
</h1><p>J<b>o</b>hn<br>and&nbsp; so on<a href="a#b" rel="x NoFollow">link</a><a href=c><img src=i alt=" an image "></a>
<table><tr><td>1<td><td>3<tr><th>4</table><pre>  a
   b<br>c
</pre><p hidden>not <a href=d>shown</a></p><div popover>x</div><dialog open>y</dialog><ruby>k<rt>r</rt></ruby>
<ul><li>&eacute;<li><time datetime=2020>n</time></ul><video src=v><source src=w></video><svg><title>s</title>
<a xlink:href=e>f</a></svg><template><p>t</template><button>1</button><button>2</button>a&shy;b<my-own x="">z</my-own>
<math><semantics><mi>x</mi><annotation>x</annotation></semantics></math><!-- c --></body></html>"""


def fastest_walk() -> tuple[Walk, str]:
    """The walk to use in a parser process, and what it is: 'C', or 'Python' and why."""
    if os.environ.get(PYTHON_ONLY):
        return walk, f"Python ({PYTHON_ONLY} is set)"
    try:
        _load()
    except ImportError as error:
        return walk, f"Python ({error})"
    return walk_in_c, "C"


def walk_in_c(tree: LexborHTMLParser) -> Walked:
    """As `walk`, but that the tree stays as it is. `fastest_walk` has to be called before."""
    from crawler.content import _walk

    root = tree.root
    found = None if root is None else _walk.walk(root)
    if found is None:
        return walk(tree)
    text, links, relations, metas, scripts, scripts_of_type, images, media, times, headings, refreshes, base = found
    return Walked(
        text,
        [(_LEVELS[tag], label) for tag, label in headings],
        links,
        relations,
        metas,
        scripts,
        scripts_of_type,
        images,
        media,
        times,
        base,
        refreshes,
        lambda: _with_itemprop(tree),
        _grouped,
    )


def _with_itemprop(tree: LexborHTMLParser) -> list[LexborNode]:
    """Those that are left when the tree is cut; it is marked so that their texts can be read."""
    if tree.root is None or not tree.css("[itemprop]"):
        return []
    take_text(tree.root, {})
    return tree.css("[itemprop]")


def _grouped(elements: Iterable[LinkElement | None], hrefs: Hrefs) -> Grouped:
    """As `grouped`. A query of a document that is not in UTF-8 depends on its encoding: Python reads such."""
    from crawler.content import _walk

    if hrefs.in_folder is None:
        return grouped(elements, hrefs)
    known = hrefs.places, hrefs.urls, hrefs.places_of_urls, hrefs.in_folder.url, hrefs.in_folder
    return Grouped._make(_walk.group(list(elements), hrefs.place_of, *known, hrefs.own))


def _load() -> None:
    """Raises `ImportError`, whose text says why, where the walk in C is not to be used."""
    try:
        from crawler.content import _walk
    except ImportError:
        raise ImportError("the extension was not built") from None
    if getattr(_walk, "INTERFACE", 1) != _INTERFACE:
        raise ImportError("the extension is of another release: install this one again")
    roles = {role: list(tags) for role, tags in _ROLES.items()}
    _walk.load(selectolax.lexbor.__file__, roles, _lines_of, collapse, read_rel)
    tree = LexborHTMLParser(_SPECIMEN)
    if tree.root is None or not all(_is_where_it_says(node) for node in tree.root.traverse(include_text=True)):
        raise ImportError("selectolax keeps its tree in another way")
    if comparable(walk_in_c(tree)) != comparable(walk(tree)):
        raise ImportError("it reads selectolax's tree otherwise")


def _is_where_it_says(node: LexborNode) -> bool:
    """Whether what C finds around a node is what selectolax does: asked of each node before anything is read."""
    from crawler.content import _walk

    around = (node.parent, node.prev, node.next, node.first_child, node.last_child)
    found = _walk.neighbours(node)
    return found[1:] == (node.tag_id, *(0 if other is None else other.mem_id for other in around)) and (
        (found[0] == _ELEMENT) == node.is_element_node
    )


def _lines_of(marked: str, *flags: bool) -> bytes:
    return lines_of(marked, **dict(zip(_FLAGS, flags, strict=True))).encode()


def comparable(found: Walked) -> tuple[object, ...]:
    """What two walks must agree in, the links read. What has no fixed number is another in each tree."""
    links = read_links(found.links, "http://a.test/b/", "http://a.test/b/c", found.group)
    media = [(MEDIA_TAGS.get(tag), attributes) for tag, attributes in found.media]
    return links, media, *found._replace(links=(), media=())[:-2]
