"""`crawler mcp`: an agent's program starts it, asks, and is answered from the crawl alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, Cli
from tests.acceptance.known_web import SITE, crawl_known_web
from tests.frontier.crawls import crawled

if TYPE_CHECKING:  # importing it takes 0.7 s, which each worker would spend that only looks for tests
    from mcp import Client

SHARED = pytest.mark.asyncio(loop_scope="module")  # as the fixture `ask`
QUOTED = re.compile(
    r"(?P<facts>.*?)\n?The text between .*\n<<<web (?P<mark>\w+)>>>\n(?P<text>.*)\n<<<end of web (?P=mark)>>>",
    re.DOTALL,
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("known") / "crawl.db"
    crawl_known_web(db)
    return db


class Agent:
    """Calls tools as a language model's program does."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, **arguments: Any) -> str:
        is_error, text = await self.ask(tool, **arguments)
        assert not is_error, text
        return text

    async def refused(self, tool: str, **arguments: Any) -> str:
        is_error, text = await self.ask(tool, **arguments)
        assert is_error, text
        return text

    async def ask(self, tool: str, **arguments: Any) -> tuple[bool, str]:
        from mcp_types import TextContent

        result = await self.client.call_tool(tool, arguments)
        (content,) = result.content
        assert isinstance(content, TextContent)
        return bool(result.is_error), content.text

    async def rows(self, tool: str, **arguments: Any) -> list[dict[str, Any]]:
        return [json.loads(line) for line in web_text(await self(tool, **arguments)).splitlines()]


@asynccontextmanager
async def an_agent(db: Path) -> AsyncIterator[Agent]:
    from mcp import Client, StdioServerParameters

    server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "mcp", "--db", str(db)])
    async with Client(server) as client:
        yield Agent(client)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(known: Path) -> AsyncIterator[Agent]:
    """An agent whose server the module's tests share: to start one, and what asks it, takes 2 s of processor time."""
    ready, over = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def stay() -> None:  # the client is to be left by the task that has entered it
        async with an_agent(known) as agent:
            ready.set_result(agent)
            await over.wait()

    staying = asyncio.create_task(stay())
    await asyncio.wait([staying, ready], return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        yield ready.result()
    over.set()
    await staying


def web_text(answer: str) -> str:
    """What stands between the two marked lines."""
    found = QUOTED.fullmatch(answer)
    assert found is not None, answer
    return found["text"]


def facts_of(answer: str) -> dict[str, str]:
    found = QUOTED.fullmatch(answer)
    assert found is not None, answer
    return dict(line.split(": ", 1) for line in found["facts"].splitlines())


@SHARED
async def test_an_agent_reads_a_page_as_markdown(ask: Agent) -> None:
    whole = await ask("get_page", url=f"{SITE}/docs/a", content="all")
    assert facts_of(whole)["content"] == '"all"'
    assert "trafilatura" in facts_of(whole)["extractor"]
    assert "# Part A\n\nThe second version\n\n## Details" in web_text(whole)
    older = await ask("get_page", url=f"{SITE}/docs/a", content="main", version=1)
    assert "The first version" in web_text(older)
    assert "extractor" not in facts_of(await ask("get_page", url=f"{SITE}/docs/a"))


@SHARED
async def test_an_agent_searches_reads_and_cites(ask: Agent) -> None:
    tools = (await ask.client.list_tools()).tools
    assert {tool.name for tool in tools} == {
        "search", "get_page", "why", "changes", "list_views", "list_rows", "sql",
    }  # fmt: skip
    assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
    (hit,) = await ask.rows("search", query="second version")
    assert (hit["url"], hit["title"]) == (f"{SITE}/docs/a", "Part A")
    page = await ask("get_page", url=hit["url"])
    assert "The second version" in web_text(page)
    assert facts_of(page) | {"content_hash": "", "characters": ""} == {
        "url": f'"{SITE}/docs/a"',
        "version": '"2 of 2"',
        "fetched_at": '"2023-11-15T22:13:20Z"',
        "content_hash": "",
        "status": '"fetched (HTTP 200)"',
        "last_answer_at": '"2023-11-15T22:13:20Z"',
        "characters": "",
    }
    first = await ask("get_page", url="example.com/docs/a#details", version=1)
    assert "The first version" in web_text(first)
    assert facts_of(first)["content_hash"] != facts_of(page)["content_hash"]


@SHARED
async def test_it_explains_and_lists_and_tells_what_has_changed(ask: Agent) -> None:
    why = json.loads(web_text(await ask("why", url=f"{SITE}/private/1")))
    assert "Disallow: /private" in why["answer"]
    never = json.loads(web_text(await ask("why", url=f"{SITE}/private/never-seen")))
    assert "never seen" in never["answer"]
    assert {row["view"] for row in map(json.loads, (await ask("list_views")).splitlines())} >= {"broken_links"}
    broken = await ask.rows("list_rows", view="broken", columns=["target_url", "cause"])
    assert {"target_url": f"{SITE}/dead", "cause": "http 404"} in broken
    assert facts_of(await ask("list_rows", view="all-urls", limit=3)) == {"rows": "3", "there_are_more": '"yes"'}
    begun = await ask("changes", limit=5)
    rest = await ask("changes", since=json.loads(facts_of(begun)["cursor"]))
    told = [json.loads(line) for answer in (begun, rest) for line in web_text(answer).splitlines()]
    assert ("gone", f"{SITE}/leaving") in {(row["change"], row["url"]) for row in told}
    assert len({(row["change"], row["url"], row["at"]) for row in told}) == len(told)
    now = json.loads((await ask("changes", since="now")).removeprefix("cursor: "))
    assert web_text(await ask("changes", since=now)) == ""


@SHARED
async def test_sql_reads_and_does_nothing_else(ask: Agent) -> None:
    assert await ask.rows("sql", statement="SELECT count(*) AS n FROM current_pages WHERE title = 'Same'") == [{"n": 2}]
    assert "only reading is allowed" in await ask.refused("sql", statement="DELETE FROM urls")
    assert "no such table" in await ask.refused("sql", statement="SELECT * FROM no_such")


@SHARED
async def test_what_an_agent_asks_wrongly_is_told_in_a_line_and_the_server_goes_on(ask: Agent) -> None:
    assert await ask.refused("get_page", url=f"{SITE}/doc") != ""
    assert "was never seen" in await ask.refused("get_page", url="https://nowhere.test/")
    assert f"no page is stored of {SITE}/dead" in await ask.refused("get_page", url=f"{SITE}/dead")
    assert "there is no version 9" in await ask.refused("get_page", url=f"{SITE}/docs/a", version=9)
    assert "there is no view" in await ask.refused("list_rows", view="nothing")
    assert "no column" in await ask.refused("list_rows", view="broken_links", columns=["nothing"])
    assert "no cursor" in await ask.refused("changes", since="nonsense")
    await ask.refused("list_rows", view="broken_links", limit=0)
    assert (await ask("list_views")) != ""


@SHARED
async def test_a_page_cannot_write_the_line_that_ends_its_own_text(ask: Agent) -> None:
    answers = [await ask("get_page", url=f"{SITE}/evil") for _ in range(2)]
    marks = {found["mark"] for answer in answers if (found := QUOTED.fullmatch(answer)) is not None}
    assert len(marks) == 2
    assert "=cmd()" in web_text(answers[0])


WORDS = " ".join(f"word{number}" for number in range(6_000))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of one page with more text than an answer holds."""
    db = tmp_path_factory.mktemp("long") / "crawl.db"
    web = FakeWeb()
    web.host("a.test").page("/", title="Long", text=WORDS)
    crawled(web, db, "http://a.test/")
    return db


async def test_a_long_page_is_read_in_parts(long: Path) -> None:
    async with an_agent(long) as ask:
        answers = [await ask("get_page", url="http://a.test/")]
        while (offset := facts_of(answers[-1]).get("next_offset")) is not None:
            answers.append(await ask("get_page", url="http://a.test/", offset=int(offset)))
        assert len(answers) == 3
        assert WORDS in "".join([web_text(answers[0]), *map(web_text, answers[1:])])


def test_without_a_crawl_it_does_not_start(cli: Cli, tmp_path: Path) -> None:
    outcome = cli.command("mcp", "--db", str(tmp_path / "none.db"), status=6)
    assert (outcome.out, outcome.err.count("\n")) == ("", 1)
    assert "there is no crawl" in outcome.err


def test_it_ends_with_its_input_and_writes_nothing_else(cli: Cli, known: Path) -> None:
    outcome = cli.command("mcp", "--db", str(known))
    assert (outcome.out, outcome.err) == ("", "")


async def test_an_argument_that_a_tool_does_not_take_is_refused(known: Path) -> None:
    from mcp.server.mcpserver.exceptions import ToolError

    from crawler.web.mcp import crawl_server

    server = crawl_server(known, "0")
    with pytest.raises(
        ToolError, match=r"^search has no argument hosts, lang; its arguments are query, host, language, limit$"
    ):
        await server.call_tool("search", {"query": "part", "hosts": "a.test", "lang": "en"})
    with pytest.raises(ToolError, match=r"^list_views has no argument view; it takes none$"):
        await server.call_tool("list_views", {"view": "pages"})
    assert "matching_pages" in str(await server.call_tool("search", {"query": "part", "host": "example.com"}))
