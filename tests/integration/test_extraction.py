"""Processes that make Markdown: what stalls or kills them is one document's failure."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from crawler.content.markdown import Content, Markdown
from crawler.parsing.extraction import open_extraction
from crawler.parsing.extraction_wire import Document

GOOD = b"<article><h1>T</h1><p>Some text that goes on, for a while at least, until it ends.</p></article>"
DEEP = b"<div>" * 100_000 + b"x"  # a minute or more


def document(body: bytes) -> Document:
    return Document("http://a.test/", "utf-8", "text/html", Content.MAIN, body)


@pytest.mark.thorough
async def test_a_document_that_stalls_the_extractor_is_given_up_and_the_others_are_made() -> None:
    async with open_extraction(timeout_s=10) as pool:
        bad, good = await asyncio.gather(pool.markdown(document(DEEP)), pool.markdown(document(GOOD)))
    assert bad == "reading took longer than 10 s"
    assert isinstance(good, Markdown)
    assert good.text.startswith("# T\n\nSome text")


@pytest.mark.thorough
async def test_a_process_that_is_killed_is_replaced() -> None:
    async with open_extraction(timeout_s=30) as pool:
        assert isinstance(await pool.markdown(document(GOOD)), Markdown)
        for child in children():
            os.kill(child, signal.SIGKILL)
        assert isinstance(await pool.markdown(document(GOOD)), Markdown)
    assert children() == []


def children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(one) for task in tasks for one in task.read_text().split()]
