"""What of a document is its main content: without navigation, advertisements, comments and the like.

trafilatura chooses, and the document's own markup stays. Of all libraries that were measured (`python -m tests.gold`),
it tells main content from furniture best; but what it gives has lost the language of code and the empty lines in it,
the looks of tables and lists, and where relative links lead. So its text only says which words are meant, and the
document is cut down to the blocks that have them.

Those words are a subsequence of the document's. To find out which one, runs of four words that both have are put in
order (Hunt and Szymanski, 1977), and the gaps between them are filled word by word. A block stays where half of its
words are chosen; so do lists, code and the like that stand between two blocks that stay, or within the element that the
document declares to be its main one, unless they are full of links.

Invariants: what stays is as it was and in its order, and nothing is made up.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.statically_frozen import dataclass

VERSION = 1  # raise it with every change that makes a document's main content another one

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_RUN = 4  # words: shorter runs stand in menus, too
_COMMON = 16  # a run that is so frequent says little, and would make the work quadratic
_REACH = 40  # words of the document that are looked at for the next chosen one
_SHARE = 0.5  # of a block's words


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_BLOCKS = _tags(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption figure footer"
    " form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre search section summary table tbody td tfoot th thead tr"
    " ul"
)
_HEADINGS = _tags("h1 h2 h3 h4 h5 h6 dt")  # they belong to what follows
_CONTENT = _tags("p ul ol dl dd pre table blockquote figure") | _HEADINGS
_MAIN = "main, [role=main]"
_FURNITURE = _tags("nav aside footer header form")
_LINKED = 0.5  # of the characters: more is a menu
_MAX_HOLE = 20  # elements


@dataclass(slots=True)
class _Block:
    """An element with words of its own, which are those from `begin` to `end`; `texts` are its text nodes."""

    node: LexborNode
    begin: int
    end: int
    texts: list[LexborNode] = field(default_factory=list)
    stays: bool = False


def chosen_text(html: str) -> str:
    """The text that trafilatura takes for the main content; empty where it finds none."""
    from trafilatura import extract  # 0.3 s, for a process that needs it

    return extract(html, include_comments=False, include_tables=True, include_formatting=False) or ""


def cut_down(tree: LexborHTMLParser, chosen: str) -> bool:
    """Remove from the tree what is not among the words of `chosen`, or, where those are all or none, what is not within
    the element that the document declares to be its main one. Were nothing left, it stays as it is: the answer is no.
    """
    body = tree.body
    if body is None:
        return False
    words, blocks = _blocks_of(body)
    is_chosen = _subsequence(words, _words_of(chosen))
    for block in blocks:
        block.stays = sum(is_chosen[block.begin : block.end]) >= _SHARE * (block.end - block.begin)
    if len({block.stays for block in blocks}) == 1:
        _choose_declared(body, blocks)
    else:
        _Holes(body, blocks).fill()
    if not any(block.stays for block in blocks):
        return False
    _remove_others(body, blocks)
    return True


def _words_of(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _blocks_of(body: LexborNode) -> tuple[list[str], list[_Block]]:
    """The words of the document, and the blocks that they stand in."""
    words: list[str] = []
    blocks: list[_Block] = []
    for text in body.traverse(include_text=True):
        found = _words_of(text.text_content or "") if text.is_text_node else ()
        if not found:
            continue
        node = _unit_of(text, body)
        if not blocks or blocks[-1].node.mem_id != node.mem_id:
            blocks.append(_Block(node, len(words), len(words)))
        words += found
        blocks[-1].texts.append(text)
        blocks[-1].end = len(words)
    return words, blocks


def _unit_of(text: LexborNode, body: LexborNode) -> LexborNode:
    """What stays or goes as one: the nearest block, or a table's row, whose cells mean nothing without each other."""
    unit = None
    node = text.parent
    while node is not None and node.mem_id != body.mem_id:
        if node.tag == "tr":
            return node
        if unit is None and node.tag in _BLOCKS:
            unit = node
        node = node.parent
    return unit or body


def _subsequence(page: Sequence[str], chosen: Sequence[str]) -> bytearray:
    """Which words of the page are the chosen ones."""
    is_chosen = bytearray(len(page))
    place = word = 0
    for number, (anchor, anchored) in enumerate([*_anchors(page, chosen), (len(page), len(chosen))]):
        gap = chosen[word:anchored]
        if gap and number:
            _fill_forwards(is_chosen, page, gap, place, anchor)
        elif gap:  # the same words may stand in a menu further up
            _fill_backwards(is_chosen, page, gap, anchor)
        for near in range(anchor, min(anchor + _RUN, len(page))):
            is_chosen[near] = 1
        place, word = anchor + _RUN, anchored + _RUN
    return is_chosen


def _anchors(page: Sequence[str], chosen: Sequence[str]) -> list[tuple[int, int]]:
    """The longest series of runs that both have in the same order: where they begin in both."""
    places: dict[tuple[str, ...], list[int]] = {}
    for place, run in enumerate(_runs(page)):
        places.setdefault(run, []).append(place)
    ends: list[int] = []  # at n: the least place at which a series of n + 1 runs ends
    last: list[int] = []  # its last pair
    pairs: list[tuple[int, int, int]] = []  # place, word, and the pair before
    for word, run in enumerate(_runs(chosen)):
        found = places.get(run, ())
        for place in reversed(found if len(found) <= _COMMON else ()):
            length = bisect_left(ends, place)
            pairs.append((place, word, last[length - 1] if length else -1))
            ends[length : length + 1] = [place]
            last[length : length + 1] = [len(pairs) - 1]
    series: list[tuple[int, int]] = []
    at = last[-1] if last else -1
    while at >= 0:
        place, word, at = pairs[at]
        series.append((place, word))
    return series[::-1]


def _runs(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(words[begin:] for begin in range(_RUN)), strict=False)


def _fill_forwards(is_chosen: bytearray, page: Sequence[str], gap: Sequence[str], place: int, end: int) -> None:
    """Each word at the next place that is near."""
    for word in gap:
        for near in range(place, min(end, place + _REACH)):
            if page[near] == word:
                is_chosen[near] = 1
                place = near + 1
                break


def _fill_backwards(is_chosen: bytearray, page: Sequence[str], gap: Sequence[str], place: int) -> None:
    """The same from the end."""
    for word in reversed(gap):
        for near in range(place - 1, max(-1, place - 1 - _REACH), -1):
            if page[near] == word:
                is_chosen[near] = 1
                place = near
                break


class _Holes:
    """What was not chosen, but is content by where it stands."""

    def __init__(self, body: LexborNode, blocks: Sequence[_Block]) -> None:
        self._body = body
        self._blocks = blocks
        self._kept = _with_ancestors(body, (text for block in blocks if block.stays for text in block.texts))
        self._main = _declared_main(body)
        self._known: dict[int, bool] = {}  # of elements, by their addresses

    def fill(self) -> None:
        """Let it stay."""
        for block in self._blocks:
            if block.stays or (node := self._content_around(block.node)) is None:
                continue
            if node.mem_id not in self._known:
                self._known[node.mem_id] = self._belongs(node)
            block.stays = self._known[node.mem_id]

    def _content_around(self, node: LexborNode) -> LexborNode | None:
        """The nearest element of a kind that holds content, if nothing in it stays."""
        one: LexborNode | None = node
        while one is not None and one.tag not in _CONTENT:
            one = None if one.mem_id == self._body.mem_id else one.parent
        return None if one is None or one.mem_id in self._kept else one

    def _belongs(self, node: LexborNode) -> bool:
        if node.mem_id not in self._main:
            stays_before = node.tag in _HEADINGS or self._stays_beside(node, forwards=False)
            if not stays_before or not self._stays_beside(node, forwards=True):
                return False
        linked = sum(len(link.text()) for link in node.css("a[href]"))
        return linked <= _LINKED * len(node.text())

    def _stays_beside(self, node: LexborNode, *, forwards: bool) -> bool:
        """Whether the nearest element beside it that is no hole itself is one that stays."""
        one = node
        for _ in range(2 * _MAX_HOLE):  # a text node between any two
            beside = one.next if forwards else one.prev
            if beside is None or (beside.is_element_node and beside.tag not in _CONTENT):
                return beside is not None and beside.mem_id in self._kept
            if beside.mem_id in self._kept:
                return True
            one = beside
        return False


def _declared_main(body: LexborNode) -> set[int]:
    """The elements, by their addresses, within the one that the document says is its main one."""
    found = body.css(_MAIN)
    inside: set[int] = set()
    waiting = found if len(found) == 1 else []
    while waiting:
        node = waiting.pop()
        inside.add(node.mem_id)
        waiting += (child for child in node.iter() if child.tag not in _FURNITURE)
    return inside


def _choose_declared(body: LexborNode, blocks: Sequence[_Block]) -> None:
    if main := _declared_main(body):
        for block in blocks:
            block.stays = block.node.mem_id in main


def _remove_others(body: LexborNode, blocks: Sequence[_Block]) -> None:
    """Cut the body down to the blocks that stay, and to what has no words among them: images, for instance."""
    kept = _with_ancestors(body, (text for block in blocks if block.stays for text in block.texts))
    lost = _with_ancestors(body, (text for block in blocks if not block.stays for text in block.texts))
    waiting, is_among_them = [body], False
    while waiting:
        node = waiting.pop()
        children = list(node.iter(include_text=True))
        inner = [child for child in children if child.mem_id in kept]
        is_among_them = is_among_them or len(inner) > 1 or any(child.is_text_node for child in inner)
        waiting += (child for child in reversed(inner) if child.is_element_node)
        for child in children:
            if child.mem_id not in kept and (child.mem_id in lost or not is_among_them):
                child.decompose()


def _with_ancestors(body: LexborNode, nodes: Iterable[LexborNode]) -> set[int]:
    """By their addresses."""
    found: set[int] = set()
    for node in nodes:
        one: LexborNode | None = node
        while one is not None and one.mem_id not in found:
            found.add(one.mem_id)
            one = None if one.mem_id == body.mem_id else one.parent
    return found
