"""The questions of an audit, in the order of a report: which view answers each, and how its answer is shown.

Invariant: only declarations. A new finding is a view (views.sql) and an entry in one of these tables, and every format
has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crawler.archive.audit.crawl_questions import CRAWL_QUESTIONS
from crawler.archive.audit.link_questions import LINK_QUESTIONS
from crawler.archive.audit.page_questions import PAGE_QUESTIONS
from crawler.archive.audit.question import Question
from crawler.archive.audit.site_questions import SITE_QUESTIONS

_ALL = (*LINK_QUESTIONS, *SITE_QUESTIONS, *PAGE_QUESTIONS, *CRAWL_QUESTIONS)

QUESTIONS: Mapping[str, Question] = MappingProxyType({one.name: one for one in _ALL})
