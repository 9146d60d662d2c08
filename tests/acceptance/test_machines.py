"""The manual's page on several machines: what it has people run, run; what it has them deploy, checked."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from crawler.storage.postgres.connection import worker_settings
from crawler.storage.postgres.ownership import DEFAULT_LEASE_S
from tests.acceptance.conftest import Cli
from tests.acceptance.known_web import crawl_known_web
from tests.postgres import sql
from tests.postgres.server import Server

PAGE = (Path(__file__).parents[2] / "crawler/manual/machines.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Their lines, as they are where they are not within a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_the_roles_may_do_what_the_page_says(tmp_path: Path, postgres: Server) -> None:
    """The owner copies a crawl into the database; the other one reads it, and changes nothing."""
    token = secrets.token_hex(4)
    owner, reader, database = (f"{name}_{token}" for name in ("crawl", "analyst", "crawl"))
    setup, _pooler = blocks("psql")
    text = re.sub(r"DATABASE crawl", f"DATABASE {database}", setup).replace("analyst", reader)
    text = re.sub(r"(ROLE|OWNER|connect) crawl", rf"\1 {owner}", text)
    before, _connect, after = text.partition(f"\\connect {owner} crawl\n")
    url = postgres.url(database)
    admin = postgres.url("postgres")
    db = tmp_path / "crawl.db"
    crawl_known_web(db)
    try:
        for statement in filter(None, before.split(";\n")):
            sql.execute(admin, statement)
        as_owner, as_reader = (re.sub(r"//[^@]*@", f"//{role}@", url) for role in (owner, reader))
        for statement in filter(None, after.split(";\n")):
            sql.execute(as_owner, statement)
        cli = Cli(tmp_path)
        cli.command("copy", str(db), as_owner)
        assert "Part A" in cli.command("list", "pages", "--db", as_reader).out
        assert "must own the crawl's tables" in cli.command("copy", str(db), f"{as_reader}", status=6).err
    finally:
        sql.execute(admin, f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        for role in (owner, reader):
            sql.execute(admin, f"DROP OWNED BY {role}")
            sql.execute(admin, f"DROP ROLE {role}")


def test_the_page_has_all_settings_that_pgbouncer_does_not_pass_on() -> None:
    wanted = {**worker_settings("any", DEFAULT_LEASE_S)}
    del wanted["application_name"]  # which it does
    assert wanted.pop("idle_in_transaction_session_timeout") == "15000"
    (pooler,) = blocks("conf")
    _setup, roles = blocks("psql")
    named = re.findall(r"\w+", pooler.partition("ignore_startup_parameters = ")[2])
    assert named == [*wanted, "idle_in_transaction_session_timeout", "lock_timeout", "default_transaction_read_only"]
    set_for_roles = dict(re.findall(r"SET (\w+) = '?(\w+)'?;", roles))
    assert set_for_roles == {**wanted, "idle_in_transaction_session_timeout": "15s"}


@pytest.mark.system
def test_kubernetes_takes_the_manifests() -> None:
    import kubernetes_validate  # of the extra `examples`, as is what reads YAML
    from yaml import safe_load_all

    (text,) = blocks("yaml")
    manifests: list[dict[str, Any]] = list(safe_load_all(text))
    assert [manifest["kind"] for manifest in manifests] == ["Deployment", "CronJob"]
    for manifest in manifests:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
