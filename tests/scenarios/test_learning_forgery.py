"""A row makes no program run: whoever writes to the database, revokes an approver or rebuilds the agent takes it out of service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenure.activities.resources import now
from tenure.learn.canary import in_canary
from tenure.learn.capability import Capability
from tenure.runtime import approving
from tenure.runtime.store import Connection, capabilities
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tests.tickets import (
    CLOSED,
    SOON,
    WHO,
    approve,
    claude,
    closed,
    desk,
    in_service,
    request,
    rollout,
    tidied,
)
from tests.waiting import one_pending

__all__ = ["tidied"]
OUTSIDE = next(name for n in range(99) if not in_canary(name := f"user-{n}", "default:tickets:close_ticket", 10))
Forge = Callable[[Connection], Any]


def says(**columns: str | int) -> Forge:
    """The rollout's row says so now."""
    told = ", ".join(f"{name} = ?" for name in columns)
    return lambda db: db.execute(f"UPDATE rollouts SET {told}", tuple(columns.values()))


def says_it_is_promoted(db: Connection) -> None:
    """Everything that a rollout writes when it is promoted, and the approval of the shadow as that of the promotion."""
    db.execute("UPDATE rollouts SET stage = 'promoted', serving = 'all', promoted = deployed")


def changes_what_was_asked(db: Connection) -> None:
    """The same, and the approved request asks for a promotion now."""
    says_it_is_promoted(db)
    db.execute("""UPDATE requests SET body = replace(body, '"step":"deploy"', '"step":"promote"')""")


async def written(system: Embedded, forge: Forge) -> None:
    await system.require_store().transact(forge)


async def test_no_row_puts_a_program_into_service_that_nobody_has_approved() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await closed(agent, range(1000, 1006))
        await system.learn.mine("tickets")
        await one_pending(system)
        await written(system, says(stage="promoted", serving="all"))
        response = await agent.run(request(1300))
        assert (response.tier, CLOSED["T-1300"]) == ("model", "T-6300")


@pytest.mark.parametrize(
    "forge",
    [
        says_it_is_promoted,
        changes_what_was_asked,
        says(stage="canary", serving="canary", percent=100),
        says(stage="promoted", serving="all", promoted="req-0123456789abcdef"),
    ],
    ids=["promoted", "asked", "canary", "nobody's request"],
)
async def test_no_row_lets_a_program_serve_more_people_than_they_have_approved(forge: Forge) -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await closed(agent, range(1000, 1006))
        await system.learn.mine("tickets")
        await approve(system)
        await rollout(system, "shadow")
        await written(system, forge)
        response = await agent.run(request(1300), user=OUTSIDE)
        assert (response.tier, CLOSED["T-1300"]) == ("model", "T-6300")


def another(capability: Capability) -> Capability:
    """The same, but it closes every ticket as a duplicate of T-6666."""
    program = capability.program.replace("duplicate_of=duplicate_of", "duplicate_of='T-6666'")
    assert program != capability.program
    return capability.model_copy(update={"program": program})


def puts_in_its_place(make: Callable[[Capability], str], *, with_digest: bool) -> Forge:
    """Another program under the name of the approved one; `with_digest`: its digest wherever the approved one's stood."""

    def forge(db: Connection) -> None:
        kept = capabilities.get(db, WHO, "close_ticket")
        assert kept is not None
        body = make(Capability.model_validate_json(kept.body))
        db.execute("UPDATE capabilities SET body = ?", (body,))
        if with_digest:
            digest = Capability.model_validate_json(body).digest
            db.execute("UPDATE capabilities SET digest = ?", (digest,))
            db.execute("UPDATE rollouts SET digest = ?", (digest,))

    return forge


@pytest.mark.parametrize(
    "forge",
    [
        puts_in_its_place(lambda one: another(one).model_dump_json(), with_digest=False),
        puts_in_its_place(lambda one: another(one).model_dump_json(), with_digest=True),
        puts_in_its_place(lambda one: "{}", with_digest=False),
        puts_in_its_place(
            lambda one: json.dumps({**one.model_dump(), "program": "while True: pass"}), with_digest=True
        ),
    ],
    ids=["program", "program and digest", "nothing", "endless"],
)
async def test_another_program_than_the_approved_one_never_runs(forge: Forge) -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        await written(system, forge)
        response = await agent.run(request(1300))
        assert (response.tier, response.success, CLOSED["T-1300"]) == ("model", True, "T-6300")


async def test_a_program_that_was_changed_earns_nothing_in_the_shadow_and_is_rolled_back() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await closed(agent, range(1000, 1006))
        await system.learn.mine("tickets")
        await approve(system)
        await rollout(system, "shadow")
        await written(system, puts_in_its_place(lambda one: another(one).model_dump_json(), with_digest=False))
        await closed(agent, range(1100, 1106))
        gone = await rollout(system, "rolled_back")
        assert gone.why == "the store holds another program than the one that was tested"


async def test_what_a_revoked_approver_has_approved_serves_nobody() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        await in_service(agent, system)
        assert (await agent.run(request(1300))).tier == "capability"
        root = system.resources.root
        await written(system, lambda db: approving.revoke(db, root, "operator", "left", "sam", now()))
        response = await agent.run(request(1301))
        assert (response.tier, response.success) == ("model", True)


async def test_an_agent_that_was_rebuilt_is_served_by_nothing_and_the_rollout_says_why(tmp_path: Path) -> None:
    server = await start_server()
    try:
        agent = desk(SOON)
        async with embedded(agent, claude=claude, home=tmp_path, server=server) as system:
            await in_service(agent, system)
            assert (await agent.run(request(1300))).tier == "capability"
        rebuilt = desk(SOON, instructions="Be brief.")
        async with embedded(rebuilt, claude=claude, home=tmp_path, server=server) as system:
            assert (await rebuilt.run(request(1301))).tier == "model"
            gone = await rollout(system, "rolled_back")
            assert gone.why == "the agent is another than the one it was learned from"
    finally:
        await server.shutdown()
