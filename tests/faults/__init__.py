"""Workers of one crawl, and what happens to them: after every fault each page is stored, once."""

import pytest

pytest.register_assert_rewrite("tests.faults.cluster", "tests.faults.happenings", "tests.faults.invariants")
