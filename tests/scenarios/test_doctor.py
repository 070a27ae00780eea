"""`tenure doctor`: what it says of a Tenure that is in order, of one that is not, and of none at all."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

from tenure import Agent
from tenure.approvals.approvers import Approver, encode_key
from tenure.cli import main
from tenure.cli.checks import CHECKS
from tenure.runtime import approving, keys
from tenure.runtime.store import Store, agents, approvers
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import api_error

KEY = "sk-ant-api03-0123456789abcdefWXYZ"
NOWHERE = "127.0.0.1:1"
clerk = Agent(name="clerk")
MODULE = "from tenure import Agent\nclerk = Agent(name='clerk'{more})\n"


@pytest.fixture(scope="module")
async def system() -> AsyncGenerator[Embedded]:
    async with embedded(clerk, claude="Hi.") as made:
        yield made


async def doctor(home: Path, *words: str, address: str = NOWHERE, **env: str) -> Result:
    told = {"TENURE_HOME": str(home), "TEMPORAL_ADDRESS": address, "COLUMNS": "80", **env}
    return await asyncio.to_thread(CliRunner(env=told).invoke, main, ["doctor", *words])


async def beside(system: Embedded, *words: str, **env: str) -> Result:
    """In the same installation."""
    address = system.temporal.service_client.config.target_host
    return await doctor(Path(system.settings.home), *words, address=address, **env)


def checks(told: Result) -> dict[str, dict[str, str]]:
    return {check.pop("check"): check for check in json.loads(told.stdout)}


def statuses(told: Result) -> dict[str, str]:
    return {name: check["status"] for name, check in checks(told).items()}


@pytest.fixture
def silent() -> Generator[str]:
    """An address where somebody listens and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_tenure_that_is_in_order_is_well(system: Embedded) -> None:
    told = await beside(system, ANTHROPIC_API_KEY=KEY)
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.endswith("\nall is well\n")
    assert all(len(line) <= 80 for line in told.stdout.splitlines())
    assert re.search(r"ok +temporal +127\.0\.0\.1:\d+, server [\d.]+, \d+ ms", told.stdout)
    assert f"clerk@{clerk.fingerprint[:8]}" in told.stdout
    assert "2 vouched for by the root key: operator, reviewer" in told.stdout
    assert "key sk-…WXYZ, at api.anthropic.com" in told.stdout
    assert KEY[:-4] not in told.stdout
    as_json = await beside(system, "--json", ANTHROPIC_API_KEY=KEY)
    assert statuses(as_json) == dict.fromkeys(CHECKS, "ok")
    assert checks(as_json)["store"] == {
        "status": "ok",
        "told": f"{system.settings.home}/tenure.db, schema 1, id {system.require_store().id}",
        "fix": "",
    }


async def test_where_there_is_nothing_each_fault_has_its_fix_and_nothing_is_made(tmp_path: Path) -> None:
    told = await doctor(tmp_path / ".tenure", "--json")
    assert told.exit_code == 1
    found = checks(told)
    assert {name for name, check in found.items() if check["status"] == "failed"} == {
        "temporal",
        "store",
        "approvers",
        "claude",
    }
    assert {name for name, check in found.items() if check["status"] == "ok"} == {"python", "home", "blobs", "prices"}
    assert all(check["fix"] for check in found.values() if check["status"] != "ok")
    assert found["temporal"]["told"] == f"no server answers at {NOWHERE}"
    assert "`tenure dev" in found["temporal"]["fix"]
    assert not any(os.scandir(tmp_path))
    page = (await doctor(tmp_path / ".tenure")).stdout
    assert page.endswith("4 failed, 4 to look at\n")
    assert "Traceback" not in page


async def test_a_server_that_says_nothing_is_not_waited_for(tmp_path: Path, silent: str) -> None:
    began = time.monotonic()
    told = checks(await doctor(tmp_path, "--json", address=silent))
    assert told["temporal"]["status"] == "failed"
    assert told["temporal"]["told"].startswith(f"no server answers at {silent}")
    assert time.monotonic() - began < 8


async def test_a_namespace_that_no_worker_has_seen_says_what_is_missing(system: Embedded) -> None:
    absent = checks(await beside(system, "--json", TEMPORAL_NAMESPACE="absent"))["temporal"]
    assert (absent["status"], absent["told"].endswith("no namespace 'absent'")) == ("failed", True)
    assert "`temporal operator namespace create --namespace absent`" in absent["fix"]
    request = RegisterNamespaceRequest(namespace="bare", workflow_execution_retention_period=Duration(seconds=86400))
    await system.temporal.workflow_service.register_namespace(request)
    bare = checks(await beside(system, "--json", TEMPORAL_NAMESPACE="bare"))
    assert bare["attributes"]["status"] == "failed"
    assert "search-attribute create --namespace bare --name TenureAgent --type Keyword" in bare["attributes"]["fix"]
    assert "--name TenureCostUsd --type Double" in bare["attributes"]["fix"]
    assert bare["installation"]["told"] == "no store has claimed this namespace yet"
    assert bare["worker"]["told"] == "nobody polls task queue 'tenure'"


async def test_a_store_of_another_installation_is_told_apart(system: Embedded, tmp_path: Path) -> None:
    Store.open(f"sqlite://{tmp_path}/tenure.db").close()
    address = system.temporal.service_client.config.target_host
    other = checks(await doctor(tmp_path, "--json", address=address))
    assert other["installation"]["status"] == "failed"
    assert system.require_store().id in other["installation"]["told"]
    assert "terminate workflow 'tenure:installation'" in other["installation"]["fix"]
    none = checks(await doctor(tmp_path / "none", "--json", address=address))["installation"]
    assert none["status"] == "warning"
    assert f"belongs to store {system.require_store().id}" in none["told"]


async def test_a_store_that_cannot_be_written_says_why(system: Embedded, tmp_path: Path) -> None:
    url = system.settings.database_url
    assert "read only" in checks(await beside(system, "--json", TENURE_DATABASE_URL=f"{url}?mode=ro"))["store"]["told"]
    path = tmp_path / "tenure.db"
    Store.open(f"sqlite://{path}").close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    locked = checks(await doctor(tmp_path, "--json"))["store"]
    holder.close()
    assert (locked["status"], locked["told"].endswith("locked for 2.5 s")) == ("warning", True)
    path.write_text("no database")
    assert "file is not a database" in checks(await doctor(tmp_path, "--json"))["store"]["told"]
    blobs = checks(await doctor(tmp_path, "--json", TENURE_BLOB_URL="file:///proc/blobs"))["blobs"]
    assert (blobs["status"], blobs["told"].startswith("cannot write to /")) == ("failed", True)


async def test_agents_here_are_compared_with_those_served(system: Embedded, tmp_path: Path) -> None:
    for name, more in (("same", ""), ("changed", ", max_iterations=3"), ("unserved", "")):
        (tmp_path / f"{name}_agents.py").write_text(
            MODULE.format(more=more).replace("clerk'", "scribe'" if name == "unserved" else "clerk'")
        )

    async def compared(name: str) -> dict[str, str]:
        return checks(await beside(system, "--json", "--agents", str(tmp_path / f"{name}_agents.py")))["agent"]

    assert (await compared("same"))["told"] == f"clerk@{clerk.fingerprint[:8]}, exactly as a worker serves it"
    changed = await compared("changed")
    assert changed["status"] == "failed"
    assert f"the worker serves clerk@{clerk.fingerprint[:8]}" in changed["told"]
    assert (await compared("unserved"))["told"] == "no worker serves scribe"
    wrong = await beside(system, "--agents", "no_such_module")
    assert (wrong.exit_code, "failed   agents        --agents no_such_module: the module" in wrong.stdout) == (1, True)


async def test_a_worker_that_fell_silent_and_a_model_without_a_price_are_seen(tmp_path: Path) -> None:
    store, now = Store.open(f"sqlite://{tmp_path}/tenure.db"), round(time.time() * 1000)
    announced: list[tuple[Any, ...]] = [
        ("clerk", "aaaaaaaaaaaa", "w1", json.dumps({"model": "claude-none"}), "", "tenure", now),
        ("clerk", "bbbbbbbbbbbb", "w2", json.dumps({"model": "claude-haiku-5-5"}), "", "tenure", now),
        ("scribe", "cccccccccccc", "w3", "{}", "", "tenure", now - 300_000),
    ]
    await store.transact(lambda db: agents.announce(db, *announced[2]))
    silent = checks(await doctor(tmp_path, "--json"))["agents"]
    assert (silent["status"], silent["told"]) == (
        "warning",
        "no worker serves: scribe@cccccccc (stale: last seen 5 min ago)",
    )
    await store.transact(lambda db: agents.announce(db, *announced[1]))
    assert checks(await doctor(tmp_path, "--json"))["agents"]["fix"] == "start the worker that serves the stale ones"
    await store.transact(lambda db: agents.announce(db, *announced[0]))
    store.close()
    found = checks(await doctor(tmp_path, "--json"))
    assert "clerk under several fingerprints" in found["agents"]["told"]
    assert (found["prices"]["status"], found["prices"]["told"]) == ("failed", "no price for claude-none")
    assert found["claude"] == {
        "status": "warning",
        "told": "no key here; the worker that serves has its own",
        "fix": "set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a stand-in",
    }


async def test_approvers_the_root_key_does_not_vouch_for_are_named(tmp_path: Path) -> None:
    foreign = keys.make_local(tmp_path / "elsewhere")
    keys.make_local(tmp_path / "keys")
    store = Store.open(f"sqlite://{tmp_path}/tenure.db")
    await store.transact(lambda db: keys.register_local(db, tmp_path / "keys", 1))
    told = checks(await doctor(tmp_path, "--json", TENURE_APPROVER_ROOT=foreign))["approvers"]
    assert (told["status"], told["told"]) == ("warning", "0 vouched for by the root key; not by it: operator, reviewer")
    await store.transact(lambda db: approvers.revoke(db, "reviewer", 2))
    store.close()
    alone = checks(await doctor(tmp_path, "--json"))["approvers"]
    assert (alone["status"], alone["told"]) == ("warning", "1 vouched for by the root key: operator")
    assert (
        "is no Ed25519 public key"
        in checks(await doctor(tmp_path, "--json", TENURE_APPROVER_ROOT="x"))["approvers"]["told"]
    )


async def test_a_gateway_is_nobody_who_approves(tmp_path: Path) -> None:
    keys.make_local(tmp_path / "keys")
    root, store = keys.load(tmp_path / "keys", "root"), Store.open(f"sqlite://{tmp_path}/tenure.db")

    async def told_of(name: str, gateway: bool) -> tuple[str, str]:
        public = encode_key(Ed25519PrivateKey.generate().public_key()) if name != "zoe" else ""
        person = Approver(principal=name, key=public, gateway=gateway)
        await store.transact(lambda db: approving.enter(db, root, person, 1, "a test"))
        found = checks(await doctor(tmp_path, "--json"))["approvers"]
        return found["status"], found["told"]

    assert await told_of("ann", False) == ("warning", "1 vouched for by the root key: ann")
    assert await told_of("zoe", False) == ("warning", "2 vouched for by the root key: ann, zoe; without a key: zoe")
    assert await told_of("web", True) == ("ok", "2 vouched for by the root key: ann, zoe; gateway web")
    await store.transact(lambda db: approvers.revoke(db, "ann", 2))
    assert await told_of("web2", True) == ("warning", "1 vouched for by the root key: zoe; gateway web, web2")
    store.close()


async def test_a_real_request_is_made_only_when_asked_for(system: Embedded) -> None:
    assert system.claude is not None
    env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": system.claude.base_url}
    before = len(system.claude.requests)
    told = checks(await beside(system, "--json", "--call", **env))
    (asked,) = system.claude.requests[before:]
    assert asked.body["max_tokens"] == 1
    assert re.fullmatch(r"claude-sonnet-5-5 answered in \d\.\d s", told["call"]["told"])
    assert told["claude"]["told"] == f"key sk-…WXYZ, at {system.claude.base_url.partition('//')[2]}"
    system.claude.interrupt(api_error(401, "authentication_error", "invalid x-api-key"))
    refused = await beside(system, "--json", "--call", **env)
    assert refused.exit_code == 1
    assert checks(refused)["call"] == {
        "status": "failed",
        "told": "claude-sonnet-5-5: AuthenticationError: invalid x-api-key",
        "fix": "set ANTHROPIC_API_KEY to a key that is valid",
    }
    assert (await beside(system, "--json", **env)).exit_code == 0
    assert len(system.claude.requests) == before + 2


async def test_a_short_key_is_not_shown_at_all(tmp_path: Path) -> None:
    told = checks(
        await doctor(tmp_path, "--json", ANTHROPIC_API_KEY="hunter2", ANTHROPIC_BASE_URL="http://u:pw@host:1")
    )
    assert told["claude"]["told"] == "a key of 7 characters, at host:1"


async def test_a_setting_that_cannot_be_read_is_a_finding_too(tmp_path: Path) -> None:
    told = await doctor(tmp_path, "--json", TENURE_PATIENCE="soon")
    assert (told.exit_code, list(checks(told))) == (1, ["settings"])
    assert "TENURE_PATIENCE='soon': must be a positive number" in checks(told)["settings"]["told"]
    broken = checks(await doctor(tmp_path, "--json", TEMPORAL_CONFIG_FILE=str(tmp_path), TEMPORAL_PROFILE="x"))
    assert "the TEMPORAL_* settings cannot be read" in broken["temporal"]["told"]


def test_the_client_of_claude_is_not_imported_without_a_request(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom tenure.cli import main\ntry:\n    main.main(['doctor', '--json'])\n"
        "except SystemExit as left:\n    print(left.code, 'anthropic' in sys.modules, file=sys.stderr)"
    )
    env = {**os.environ, "TEMPORAL_ADDRESS": NOWHERE}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert told.stderr == "1 False\n"
