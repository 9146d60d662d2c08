"""The extraction rules by which a crawl reads its pages."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.extraction_rules import Rule
from crawler.storage.postgres.extracts import LOST, UNREAD, set_rules
from crawler.storage.postgres.session import Session
from crawler.storage.postgres.transactions import Execute


class Rules(Session):
    """See `interface.Rules` for what each operation is for."""

    async def use_rules(self, rules: Sequence[Rule]) -> dict[str, int]:
        """Pages are read by these from now on; returns how many stored ones have not been, of those that lack some.

        Who joins a run uses those of the run, which its first process has set: nothing changes then.
        """

        async def work(execute: Execute) -> None:
            await set_rules(rules, execute)

        await self._transact(work)
        unread = dict(map(tuple, await self._read(UNREAD)))
        return {rule.name: unread[rule.name] for rule in rules if rule.name in unread}

    async def lost_extracts(self) -> dict[str, int]:
        """On how many pages a rule has found nothing in this run where it had found something before."""
        return dict(map(tuple, await self._read(LOST, self.run_id)))
