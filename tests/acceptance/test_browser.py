"""What a real browser makes of every legacy encoding: characters, and the URLs of links."""

from __future__ import annotations

import re

import pytest

from crawler.charsets.decoder import decode
from crawler.urls import document_base, normalize
from tests.oracle.browser import Question, ask
from tests.oracle.tables import MULTI_BYTE, SINGLE_BYTE, sequences

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

# Where Chromium 156 is not the standard: two-character sequences of big5 at the end, escapes that do not end.
_BROWSERS_OWN = {"big5": re.compile(rb"\x88[\x62\x64\xa3\xa5]"), "iso-2022-jp": re.compile(rb"\x1b[$(](?![@BIJ])")}


def test_every_sequence_is_what_the_browser_reads() -> None:
    questions = [Question(kind="decode", encoding=name, items=sequences(name)) for name in SINGLE_BYTE + MULTI_BYTE]
    for question, answers in zip(questions, ask(questions), strict=True):
        own = _BROWSERS_OWN.get(question.encoding, re.compile(b"(?!)"))
        compared = [(body, text) for body, text in zip(question.items, answers, strict=True) if not own.search(body)]
        assert len(compared) > 0.9 * len(answers)
        differences = [(body.hex(), text) for body, text in compared if decode(body, question.encoding) != text]
        assert not differences, question.encoding


_HREFS = [
    "?д",
    "?é=д#ё",
    "/д?д",
    "?日本&¥~‾",
    "?ｱｲ−€",
    "?\u0434\t\u0430 ",
    "?\x0eд\x1b",
    "?'\"<>`{}|\\^é",
    "?\ue5e5ḿ😀",
]


def test_each_link_leads_where_the_browser_goes() -> None:
    encodings = [name for name in SINGLE_BYTE + MULTI_BYTE if not name.startswith("utf-16")]  # frames are no UTF-16
    items = [href.encode() for href in _HREFS]
    questions = [Question(kind="resolve", encoding=name, items=items) for name in encodings]
    for question, urls in zip(questions, ask(questions), strict=True):
        frame = urls[0].partition("?")[0]
        base = document_base(f"{frame}?charset={question.encoding}", question.encoding)
        ours = [normalize(href, base) for href in _HREFS]
        assert ours == [url.partition("#")[0] for url in urls], question.encoding
