"""What a real browser reads: characters of every legacy encoding."""

from __future__ import annotations

import re

import pytest

from crawler.charsets.decoder import decode
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
