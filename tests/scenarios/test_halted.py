"""Taking away on the command line: what is typed wrong is refused, and while a halt stands every page says so."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.approvals.request import Request
from tenure.client.toolbox import check_named
from tenure.errors import ConfigError
from tenure.runtime.store import Connection, agents
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Json, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust.restrictions import Restriction
from tenure.wire import JsonObject
from tests.typing_commands import Tenure, at
from tests.waiting import eventually, one_pending

PAID: list[int] = []


@tool(effect="write", idempotent=True)
async def refund(amount: int, order: str = "o1") -> str:
    """Pay somebody back."""
    PAID.append(amount)
    return f"{order}: {amount}"


@tool(effect="read")
async def look_up(order: str) -> str:
    """Look an order up."""
    return order


TRUST = {"initial": 0.3, "permissions": {0.1: ["look_up"], 0.9: ["refund"]}}
desk, clerk = Agent(name="desk", tools=[refund, look_up], trust=TRUST), Agent(name="clerk", tools=[look_up])


def script(body: Json) -> Any:
    return text("Paid.") if turn_of(body) else tool_use("refund", amount=900)


@pytest.fixture(scope="module")
async def shared() -> AsyncGenerator[Embedded]:
    async with embedded(desk, clerk, claude=script) as made:
        yield made


@pytest.fixture
async def system(shared: Embedded) -> AsyncGenerator[Embedded]:
    """Nothing is restricted, and nobody asks."""
    PAID.clear()
    yield shared
    for one in await shared.restrictions.in_force():
        await shared.restrictions.lift(one.tenant, one.agent, by="test")
    for request in await shared.approvals.pending():
        handle = await shared.runs.find(request.workflow)
        await handle.cancel()
        await handle.result()


@pytest.fixture
def tenure(system: Embedded) -> Tenure:
    return at(system.settings.home, system.temporal.service_client.config.target_host)


def one_line(said: str) -> str:
    return " ".join(said.split())


# What is typed

WRONG = {
    "--deny refunds": "--deny for agent 'desk': 'refunds' names no tool of this agent: did you mean 'refund'?",
    "--deny send_mail": "'send_mail' names no tool of this agent: it has look_up, refund",
    "--deny refunds*": "'refunds*' names no tool of this agent: did you mean 'refund'?",
    "--deny refund(amout>50)": "'refund(amout>50)': refund has no argument 'amout': did you mean 'amount'?",
    "--deny refund(to.iban=='x')": "refund has no argument 'to.iban': it has amount, order",
    "--deny *(amount>50)": "look_up has no argument 'amount': it has order; it would always apply to that tool",
    "--limit refunds=10/hour": "--limit for agent 'desk': 'refunds' names no tool of this agent: did you mean 'refund'?",
    "--limit refund=10": "'refund=10' is no limit: write a count, a slash and a time, as in '10/hour'",
    "--limit refund=10/week": "'refund=10/week' is no limit: write a count, a slash and a time, as in '10/hour'",
    "--limit refund=0/hour": "'refund=0/hour' is no limit: Input should be greater than or equal to 1",
    "--limit refund": "'refund' is no limit: write a tool pattern, `=` and a rate",
    "--limit refund(amount>1)=1/hour": "a limit counts calls of tools, whatever their arguments",
    "--cap 0.35": "cap: level '0.35' is not one of 0, 0.1, ... 1",
    "--deny re*fund": "'re*fund' is no permission",
}


@pytest.mark.parametrize("typed", WRONG)
async def test_a_restriction_that_would_take_nothing_away_is_refused_in_one_line(tenure: Tenure, typed: str) -> None:
    told = await tenure("halt", "desk", "--deny", "look_up", *typed.split(), "--reason", "odd")
    assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert WRONG[typed] in told.stderr
    assert "nothing is restricted" in (await tenure("halt")).stdout, "all of what is typed holds, or none of it"


@pytest.mark.parametrize(
    "typed", ["--deny refund(amount>50,order!='o1')", "--deny *", "--deny look*", "--limit ref*=2/s", "--cap 0.2"]
)
async def test_a_restriction_that_takes_something_away_holds_without_a_warning(tenure: Tenure, typed: str) -> None:
    told = await tenure("halt", "desk", *typed.split(), "--reason", "odd")
    assert (told.exit_code, told.stderr) == (0, "")


async def test_a_tenant_is_denied_a_tool_that_any_agent_has(tenure: Tenure) -> None:
    told = await tenure("halt", "--tenant", "*", "--deny", "refund", "--reason", "odd")
    assert (told.exit_code, told.stderr) == (0, "")
    told = await tenure("halt", "--agent", "clerk", "--deny", "refund", "--reason", "odd")
    assert "--deny for agent 'clerk': 'refund' names no tool of this agent: it has look_up" in told.stderr
    told = await tenure("halt", "--tenant", "*", "--deny", "refunds", "--reason", "odd")
    assert "--deny for all agents: 'refunds' names no tool of this agent: did you mean 'refund'?" in told.stderr


def test_a_tool_or_an_argument_that_one_build_of_several_has_is_taken_away() -> None:
    def takes(name: str) -> JsonObject:
        return {"type": "object", "properties": {name: {"type": "integer"}}}

    builds = [{"refund": takes("amount")}, {"refund": takes("total"), "pay": takes("amount")}]
    for kind, value in (("deny", "refund(total > 5)"), ("deny", "refund(amount > 5)"), ("limit", "pay=1/hour")):
        check_named("desk", Restriction.model_validate({"kind": kind, "value": value}), builds)
    with pytest.raises(ConfigError, match="refund has no argument 'sum'"):
        check_named("desk", Restriction(kind="deny", value="refund(sum > 5)"), builds)


async def test_what_nobody_has_announced_is_taken_away_with_a_warning(system: Embedded, tenure: Tenure) -> None:
    told = await tenure("halt", "--agent", "desc", "--tenant", "acme", "--deny", "refunds", "--reason", "odd")
    assert told.exit_code == 0
    assert told.stderr.splitlines() == [
        "tenure: warning: no run of a tenant 'acme' is known here",
        "tenure: warning: no worker has announced an agent 'desc': did you mean 'desk'?",
        "tenure: warning: no tools are announced now: nobody has looked whether 'refunds' names one",
    ]
    assert "agent desc of tenant acme denied refunds: odd" in told.stdout


async def test_an_agent_whose_workers_have_stopped_is_halted_by_its_name(system: Embedded, tenure: Tenure) -> None:
    def stop(db: Connection) -> list[Any]:
        serving = [tuple(row) for row in db.execute("SELECT * FROM agents")]
        for row in serving:
            agents.withdraw(db, row[2])
        return serving

    store = system.require_store()
    serving = await store.transact(stop)
    told = await tenure("halt", "desk", "--reason", "odd")
    assert (told.exit_code, "agent desk halted: odd" in told.stdout) == (0, True), told.stderr
    await store.transact(lambda db: db.executemany("INSERT OR IGNORE INTO agents VALUES (?, ?, ?, ?, ?)", serving))


@pytest.mark.parametrize("typed", ["desk", "desk --deny refund", "--tenant acme", "--deny refund", "desk --json"])
@pytest.mark.parametrize("reason", [[], ["--reason", " "]])
async def test_whoever_takes_something_away_says_why(tenure: Tenure, typed: str, reason: list[str]) -> None:
    told = await tenure("halt", *typed.split(), *reason)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == "tenure: Missing option '--reason': say why; `tenure halt --help` shows how\n"


@pytest.mark.parametrize("command", ["halt --reason odd", "resume"])
@pytest.mark.parametrize(
    "typed", [["--tenant", "", "--agent", "desk"], ["--tenant", ""], ["--agent", ""], ["--agent", "a/b"], [""]]
)
async def test_an_empty_name_does_not_mean_everybody(tenure: Tenure, command: str, typed: list[str]) -> None:
    await tenure("halt", "*", "--reason", "all of it")
    told = await tenure(*command.split(), *typed)
    assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert len(json.loads((await tenure("halt", "--json")).stdout)) == 1


async def test_the_same_again_takes_the_place_of_what_stands_with_its_reason(system: Embedded, tenure: Tenure) -> None:
    before = await system.restrictions.fence("default", "desk")
    await tenure("halt", "desk", "--deny", "refund", "--reason", "something else")
    await tenure("halt", "desk", "--reason", "odd refunds")
    told = await tenure("halt", "desk", "--reason", "two odd refunds")
    assert [line.partition(" (")[0] for line in told.stdout.splitlines()] == [
        "agent desk denied refund: something else",
        "agent desk halted: two odd refunds",
    ]
    assert "agent desk: 2 restrictions lifted" in (await tenure("resume", "desk")).stdout
    after = await system.restrictions.fence("default", "desk")
    assert after - before == 3, "every one of them is kept, and moved the fence"


# What is read while a halt stands


async def halted(system: Embedded, tenure: Tenure) -> tuple[str, Request]:
    """A run that asks, and is halted meanwhile."""
    run = (await tenure("run", "desk", "pay back", "--no-wait")).stdout.strip()
    request = await one_pending(system)
    assert (await tenure("halt", "desk", "--reason", "odd refunds")).exit_code == 0
    return run, request


HALTED = r"halted +agent desk: odd refunds \(\S+, \d+ s ago\); `tenure resume desk` lifts it"


async def test_every_page_says_that_the_agent_is_halted_and_how_that_ends(system: Embedded, tenure: Tenure) -> None:
    run, _ = await halted(system, tenure)
    for words in (("pending",), ("runs",), ("show", run), ("trust", "desk")):
        told = await tenure(*words)
        assert (told.exit_code, bool(re.search(HALTED, one_line(told.stdout)))) == (0, True), told.output
        document = json.loads((await tenure(*words, "--json")).stdout)
        one = document[0] if isinstance(document, list) else document
        assert one["halted"] == "odd refunds"
    assert re.search(r"^\S+ +(waiting|running), halted ", (await tenure("runs")).stdout, re.MULTILINE)


async def test_what_else_is_taken_away_stands_on_the_agent_s_own_page(tenure: Tenure) -> None:
    await tenure("halt", "desk", "--cap", "0.1", "--reason", "new on the job")
    told = one_line((await tenure("trust", "desk")).stdout)
    assert re.search(r"restricted agent desk capped at 0.1: new on the job \(", told)
    document = json.loads((await tenure("trust", "desk", "--json")).stdout)
    assert (document["halted"], document["restrictions"][0]["kind"]) == (None, "cap")


async def test_nobody_else_is_said_to_be_halted_nor_is_a_run_that_is_over(system: Embedded, tenure: Tenure) -> None:
    run, request = await halted(system, tenure)
    await tenure("resume", "desk")
    await tenure("halt", "clerk", "--reason", "odd refunds")
    for words in (("pending",), ("runs",), ("show", run), ("trust", "desk")):
        assert "halted" not in (await tenure(*words)).stdout
        document = json.loads((await tenure(*words, "--json")).stdout)
        assert (document[0] if isinstance(document, list) else document)["halted"] is None
    await system.answer(request, "deny")
    await (await system.runs.find(run)).result()
    await tenure("halt", "desk", "--reason", "odd refunds")
    for words in (("runs",), ("show", run)):
        assert "halted" not in (await tenure(*words)).stdout


async def test_an_approval_says_that_the_run_is_halted_and_what_becomes_of_the_call(
    system: Embedded, tenure: Tenure
) -> None:
    run, first = await halted(system, tenure)
    told = await tenure("approve", first.id)
    assert told.exit_code == 0
    assert re.search(HALTED, one_line(told.stdout)), "it is read before it is signed"
    assert one_line(told.stdout).endswith(
        "approve by operator counts; the run is halted (odd refunds) and goes on after `tenure resume desk`; trust or"
        " restrictions changed since this was asked, so the call is ruled on once more before it is made"
    )
    await tenure("resume", "desk")

    async def again() -> list[Request]:
        return [one for one in await system.approvals.pending() if one.id != first.id]

    (second,) = await eventually(again)
    assert PAID == []
    assert (await tenure("approve", second.id)).stdout.endswith("approve by operator counts: the run goes on\n")
    assert (await (await system.runs.find(run)).result()).success


async def test_a_denial_of_a_halted_run_says_so_too_and_json_as_well(system: Embedded, tenure: Tenure) -> None:
    _, request = await halted(system, tenure)
    told = await tenure("deny", request.id, "--json")
    assert json.loads(told.stdout)["halted"] == "odd refunds"
    await tenure("resume", "desk")


async def test_a_denial_says_when_the_run_goes_on(system: Embedded, tenure: Tenure) -> None:
    _, request = await halted(system, tenure)
    told = one_line((await tenure("deny", request.id)).stdout)
    assert told.endswith(
        "deny by operator counts; the run is halted (odd refunds) and goes on after `tenure resume desk`"
    )
    await tenure("resume", "desk")


async def test_an_approval_of_what_was_restricted_meanwhile_says_what_becomes_of_it(
    system: Embedded, tenure: Tenure
) -> None:
    run = (await tenure("run", "desk", "pay back", "--no-wait")).stdout.strip()
    request = await one_pending(system)
    await tenure("halt", "desk", "--deny", "refund", "--reason", "odd refunds")
    told = one_line((await tenure("approve", request.id)).stdout)
    assert told.endswith("the call is ruled on once more before it is made")
    await (await system.runs.find(run)).result()
    assert PAID == []


async def test_doctor_says_so_as_well_with_the_command_that_ends_it(system: Embedded, tenure: Tenure) -> None:
    await tenure("halt", "desk", "--reason", "odd refunds")
    found = json.loads((await tenure("doctor", "--json")).stdout)
    (said,) = (one for one in (found["checks"] if isinstance(found, dict) else found) if one["check"] == "agents")
    assert (said["status"], said["fix"]) == ("warning", "tenure resume desk")
    assert "agent desk halted: odd refunds" in said["told"]
