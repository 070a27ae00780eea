"""Requests that were answered before: answered by rule, never to whom that does not belong, and not for long if it is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tenure import Agent, Response, ToolContext, tool
from tenure.cli import main
from tenure.errors import ConfigError, NotFound
from tenure.hooks import Hold, Rewrite
from tenure.run import Outcome, RunRequest
from tenure.runtime.settings import Settings
from tenure.testing import Embedded, embedded
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust.restrictions import Restriction
from tests.waiting import eventually, one_pending

SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-5-5"
HOURS = "What are your opening hours?"
SIMILAR = {"similarity": 0.7, "ttl": 3600}
EXACT = {"ttl": 3600}
GREETING = {"pattern": "greeting", "response": "Hello! How can I help?", "ttl": 86400}


def desk(*rules: dict[str, Any], **more: Any) -> Agent:
    told = {"enable_cache": True, "cache_rules": rules, "admit": "answered", "audit": 0, **more.pop("optimization", {})}
    return Agent(name="desk", optimization=told, **more)


def in_order(*said: Any) -> Callable[[Any], Any]:
    """What Claude says, one after the other, whoever asks."""
    rest = iter(said)
    return lambda body: next(rest)


def asked(system: Embedded) -> int:
    assert system.claude is not None
    return len(system.claude.requests)


async def rows(system: Embedded, what: str) -> list[tuple[Any, ...]]:
    return await system.require_store().read(lambda db: [tuple(row) for row in db.execute(what).fetchall()])


async def both(agent: Agent, first: str, second: str, **more: Any) -> tuple[Response, Response]:
    return await agent.run(first, **more), await agent.run(second, **more)


async def test_a_greeting_costs_nothing_and_a_question_behind_it_is_asked() -> None:
    agent = desk(GREETING)
    async with embedded(agent, claude=in_order("Your order is on its way.")) as system:
        greeted = await agent.run("Hi there!")
        assert (greeted.message, greeted.tier, greeted.cost) == ("Hello! How can I help?", "canned", 0)
        assert greeted.success
        assert asked(system) == 0
        answered = await agent.run("Hi, where is my order?")
        assert (answered.message, answered.tier) == ("Your order is on its way.", "model")


async def test_the_very_same_request_is_answered_again_and_says_what_that_saved() -> None:
    agent = desk(EXACT)
    async with embedded(agent, claude=in_order("We open at nine.")) as system:
        first, again = await both(agent, HOURS, f"  {HOURS} ")
        assert (again.message, again.tier, again.cost) == ("We open at nine.", "exact", Decimal(0))
        assert again.saved == first.cost > 0
        assert again.iterations == 0
        assert asked(system) == 1
        ((tier, saved, cost),) = await rows(system, "SELECT tier, uncached, cost FROM charges WHERE tier = 'exact'")
        assert (tier, Decimal(saved) / 1_000_000, cost) == ("exact", first.cost, 0)


async def test_the_transcript_of_a_run_answered_without_claude_says_by_which_rule_and_from_which_run() -> None:
    agent = desk(EXACT)
    async with embedded(agent, claude=in_order("We open at nine.")) as system:
        first, again = await both(agent, HOURS, HOURS)
        found = await rows(system, f"SELECT row FROM transcript WHERE workflow = '{again.id}' AND seq = 1")
        row = json.loads(found[0][0])
        assert row["served"] == {
            "tier": "exact",
            "rule": "exact",
            "source": first.id,
            "saved": int(first.cost * 1_000_000),
        }


async def test_a_request_that_the_guards_call_the_same_is_answered_again() -> None:
    agent = desk(SIMILAR)
    async with embedded(agent, claude=in_order("We open at nine.")) as system:
        _, again = await both(agent, HOURS, "Hey, could you tell me what the opening hours are?")
        assert (again.message, again.tier) == ("We open at nine.", "similar")
        assert asked(system) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Where is order 4711?", "Where is order 4712?"),
        ("Can I return it after 30 days?", "Can't I return it after 30 days?"),
        ("What does it cost to send 100 EUR to London?", "What does it cost to send 1000 EUR to London?"),
        ("Do you ship from Paris to London?", "Do you ship from London to Paris?"),
        ("When is Monday's delivery?", "When is Tuesday's delivery?"),
    ],
)
async def test_what_differs_in_one_thing_that_counts_is_asked(first: str, second: str) -> None:
    agent = desk(SIMILAR)
    async with embedded(agent, claude=in_order("One.", "Two.")):
        _, other = await both(agent, first, second)
        assert (other.message, other.tier) == ("Two.", "model")


@pytest.mark.parametrize("whose", [{"tenant": "globex"}, {"state": {"plan": "gold"}}, {"context": ["It is Sunday."]}])
async def test_an_answer_belongs_to_its_tenant_its_state_and_its_context(whose: dict[str, Any]) -> None:
    agent = desk(EXACT, SIMILAR)
    async with embedded(agent, claude=in_order("One.", "Two.")):
        await agent.run(HOURS)
        other = await agent.run(HOURS, **whose)
        assert (other.message, other.tier) == ("Two.", "model")


async def test_another_build_of_the_agent_does_not_give_the_answers_of_the_old_one(tmp_path: Path) -> None:
    old, new = desk(EXACT), desk(EXACT, instructions="We open at ten now.")
    async with embedded(old, claude=in_order("Nine."), home=tmp_path / ".tenure"):
        await old.run(HOURS)
    async with embedded(new, claude=in_order("Ten."), home=tmp_path / ".tenure"):
        assert (await new.run(HOURS)).message == "Ten."


async def test_only_what_somebody_called_good_is_given_again_and_a_complaint_takes_it_back() -> None:
    agent = desk(EXACT, optimization={"admit": "verified"})
    async with embedded(agent, claude=in_order("One.", "Two.", "Three.")) as system:
        first, second = await both(agent, HOURS, HOURS)
        assert second.tier == "model"
        await system.feedback.give(first.id, good=True)
        given = await agent.run(HOURS)
        assert (given.message, given.tier) == ("One.", "exact")
        await both(agent, HOURS, HOURS)
        await system.feedback.give(given.id, good=False, note="you open at ten")
        (rule,) = await system.cost.rules()
        assert (rule.hits, rule.complaints, rule.closed) == (3, 1, "")
        assert (await agent.run(HOURS)).message == "Three."


async def test_a_rule_that_people_complain_of_closes_itself_and_tenure_cache_says_so() -> None:
    agent = desk(GREETING)
    async with embedded(agent, claude=in_order("Good day.")) as system:
        greeted = await agent.run("hello")
        await system.feedback.give(greeted.id, good=False, note="not to our clients")
        assert (await agent.run("hello")).message == "Good day."
        env = {"TENURE_HOME": str(system.settings.home), "COLUMNS": "100"}
        told = (await asyncio.to_thread(CliRunner(env=env).invoke, main, ["cache"])).stdout.splitlines()
        assert told[0].split()[3:6] == ["answered", "bad", "audited"]
        assert told[1].split() == ["desk", "default", "greeting", "1", "1", "0", "0", "-"]
        assert told[2].startswith("closed: greeting of desk: 1 of 1 answers that it gave were called bad, more than 2%")


@tool(effect="read", output="*")
async def hours() -> str:
    """The opening hours."""
    return "nine to five"


@tool(effect="read", output="*")
async def mine(ctx: ToolContext) -> str:
    """The caller's orders."""
    return f"orders of {ctx.user}"


@tool(effect="read")
async def page() -> str:
    """A page from elsewhere."""
    return "whatever"


@tool(effect="write", idempotent=True)
async def note(what: str) -> str:
    """Write it down."""
    return what


@pytest.mark.parametrize(
    ("called", "arguments", "again"),
    [(hours, {}, True), (mine, {}, False), (page, {}, False), (note, {"what": "x"}, False)],
)
async def test_what_did_more_than_read_or_may_be_somebodys_own_is_not_given_again(
    called: Any, arguments: dict[str, Any], again: bool
) -> None:
    agent = desk(EXACT, tools=[called])
    said = [tool_use(called.name, **arguments), text("One."), tool_use(called.name, **arguments), text("Two.")]
    async with embedded(agent, claude=in_order(*said)):
        _, second = await both(agent, HOURS, HOURS, user="ann")
        assert (second.message, second.tier) == (("One.", "exact") if again else ("Two.", "model"))


@pytest.mark.parametrize(
    "request_", ["I am ann@example.com, when do you open?", "Call me on +44 20 7946 0958, when do you open?"]
)
async def test_what_looks_personal_is_not_given_again(request_: str) -> None:
    agent = desk(EXACT)
    async with embedded(agent, claude=in_order("One.", "Two.")) as system:
        await both(agent, request_, request_)
        assert asked(system) == 2


async def test_what_the_tools_read_has_changed_and_the_answer_is_not_given_again() -> None:
    agent = desk(EXACT, tools=[hours])
    said = [tool_use("hours"), text("Nine."), tool_use("hours"), text("Ten.")]
    async with embedded(agent, claude=in_order(*said)) as system:
        await agent.run(HOURS)
        await system.cost.bump_epoch("hours", tenant="globex")
        assert (await agent.run(HOURS)).message == "Nine."
        await system.cost.bump_epoch("hour*")
        assert (await agent.run(HOURS)).message == "Ten."


async def test_what_another_run_has_changed_is_not_answered_from_before() -> None:
    agent = desk(EXACT, tools=[hours, note])
    said = [
        tool_use("hours"),
        text("Nine."),
        tool_use("note", what="ten"),
        text("Noted."),
        tool_use("hours"),
        text("Ten."),
    ]
    async with embedded(agent, claude=in_order(*said)):
        await both(agent, HOURS, "Open at ten from now on")
        assert (await agent.run(HOURS)).message == "Ten."


async def test_an_answer_is_old_after_its_time_and_never_younger_than_the_clock_says() -> None:
    agent = desk(EXACT)
    async with embedded(agent, claude=in_order("One.", "Two.", "Three.")) as system:
        await agent.run(HOURS)

        def move(by: int) -> Any:
            return lambda db: db.execute(f"UPDATE cached_answers SET at = at + {by}")

        await system.require_store().transact(move(-3_700_000))
        assert (await agent.run(HOURS)).message == "Two."
        await system.require_store().transact(move(9_000_000))
        assert (await agent.run(HOURS)).message == "Three."


async def test_a_halted_agent_answers_nothing_not_even_a_greeting() -> None:
    agent = desk(GREETING)
    async with embedded(agent, claude=in_order("Yes?")) as system:
        await system.restrictions.restrict("*", "desk", Restriction(kind="halt", reason="looking into it"), by="ops")
        run = await agent.start("Hello")
        await eventually(lambda: _is_parked(system, run.id))
        await system.restrictions.lift("*", "desk", by="ops")
        assert (await run.result()).success


async def test_what_is_denied_now_is_not_answered_from_before() -> None:
    agent = desk(EXACT, tools=[hours])
    async with embedded(agent, claude=in_order(tool_use("hours"), text("Nine."), text("I cannot tell."))) as system:
        await agent.run(HOURS)
        await system.restrictions.restrict("*", "desk", Restriction(kind="deny", value="hours", reason="x"), by="ops")
        assert (await agent.run(HOURS)).message == "I cannot tell."
        await system.restrictions.lift("*", "desk", by="ops")
        assert (await agent.run(HOURS)).tier == "exact"


async def _is_parked(system: Embedded, run: str) -> bool:
    return (await rows(system, f"SELECT status FROM runs WHERE workflow = '{run}'")) == [("waiting",)]


async def test_what_the_agent_does_with_its_answers_it_does_with_those_given_again() -> None:
    def sign(answer: Any) -> Any:
        return Hold("look at it") if "nine" in answer.message else Rewrite(f"{answer.message} Yours, desk")

    agent = desk(GREETING, {"pattern": "thanks", "response": "at nine"}, on_response=sign)
    async with embedded(agent, claude=in_order()) as system:
        assert (await agent.run("hello")).message == "Hello! How can I help? Yours, desk"
        held = await agent.start("thanks")
        await system.answer(await one_pending(system), "approve")
        assert (await held.result()).message == "at nine"


async def test_one_in_so_many_is_compared_with_what_claude_says_and_a_wrong_one_closes_its_rule() -> None:
    agent = desk(EXACT, optimization={"audit": 1})
    async with embedded(agent, claude=in_order("Nine.", "Ten.", "different", "Eleven.")) as system:
        _, audited = await both(agent, HOURS, HOURS)
        assert (audited.message, audited.tier) == ("Ten.", "model")
        (rule,) = await eventually(system.cost.rules)
        assert (rule.rule, rule.hits, rule.audited, rule.wrong) == ("exact", 0, 1, 1)
        assert rule.closed == "1 of 1 audited answers were wrong, more than 2% can explain"
        third = await agent.run(HOURS)
        assert (third.message, third.tier) == ("Eleven.", "model")
        await system.cost.reopen("exact", agent="desk")
        with pytest.raises(NotFound, match="no rule 'exact' of desk for tenant default is closed"):
            await system.cost.reopen("exact", agent="desk")


async def test_an_audit_that_finds_the_same_lets_the_rule_go_on() -> None:
    agent = desk(EXACT, optimization={"audit": 1})
    async with embedded(agent, claude=in_order("Nine.", "At nine.", "Same.")) as system:
        await both(agent, HOURS, HOURS)
        (rule,) = await eventually(system.cost.rules)
        assert (rule.audited, rule.wrong, rule.closed) == (1, 0, "")
        assert [tier for (tier,) in await rows(system, "SELECT tier FROM charges ORDER BY at, seq")][-1] == "audit"


async def test_a_run_that_was_answered_again_takes_no_more_than_twelve_events() -> None:
    agent = desk(EXACT)
    async with embedded(agent, claude=in_order("Nine.")) as system:
        _, again = await both(agent, HOURS, HOURS)
        history = await system.temporal.get_workflow_handle(again.id).fetch_history()
        assert len(history.events) <= 12, [event.event_type for event in history.events]


async def test_a_rule_below_the_operators_floor_is_not_served() -> None:
    agent = desk(SIMILAR)
    with pytest.raises(ConfigError, match=r"desk: cache_rules.similarity=0.7: TENURE_SIMILARITY_FLOOR=0.9 wants more"):
        async with embedded(agent, claude=in_order(), similarity_floor=0.9):
            pass


def test_the_floor_itself_is_a_share() -> None:
    with pytest.raises(ConfigError, match=r"TENURE_SIMILARITY_FLOOR='1.5': must be more than 0 and at most 1"):
        Settings.at(Path(), {"TENURE_SIMILARITY_FLOOR": "1.5"})


async def test_what_was_answered_without_the_agent_earns_it_no_trust() -> None:
    agent = desk(GREETING, EXACT)
    async with embedded(agent, claude=in_order("Nine.")) as system:
        await both(agent, HOURS, HOURS)
        await agent.run("hello")
        assert await rows(system, "SELECT kind, place FROM outcomes") == [("finished", 1)]


async def test_the_accounts_tell_calls_answers_and_refusals_apart() -> None:
    agent = desk(GREETING, EXACT, optimization={"budget": {"per_request": "0.01", "daily": "0.02"}})
    async with embedded(agent, claude=in_order("Nine.")) as system:
        first = await agent.run(HOURS)
        await both(agent, HOURS, "hello")
        spent = "UPDATE totals SET spent = 20000 WHERE scope = 'agent/day'"
        await system.require_store().transact(lambda db: db.execute(spent))
        assert (await agent.run("Something else?")).stop_reason == "budget"
        assert (await agent.run(HOURS)).tier == "exact"  # what is known costs nothing
        (told,) = await system.cost.accounts()
        assert (told.calls, told.answered, told.refused) == (1, 3, 1)
        assert told.cost == int(first.cost * 1_000_000)
        assert told.saved == 3 * told.cost
        tiers = {one.name: one.answered for one in await system.cost.accounts("tier")}
        assert tiers == {"model": 0, "exact": 2, "canned": 1}


async def test_what_a_run_is_told_before_it_begins_is_not_answered_from_before_it() -> None:
    agent = desk(EXACT)
    async with embedded(agent, claude=in_order("Nine.", "Ten on Sundays.")) as system:
        await agent.run(HOURS)
        handle = await system.temporal.start_workflow(
            "AgentRun",
            RunRequest(agent="desk", message=HOURS),
            id="default:run:desk:told",
            task_queue="tenure",
            start_signal="add_context",
            start_signal_args=["It is Sunday."],
            result_type=Outcome,
        )
        assert (await handle.result()).message == "Ten on Sundays."
        told = await rows(system, "SELECT row FROM transcript WHERE workflow = 'default:run:desk:told' ORDER BY seq")
        assert [json.loads(row)["role"] for (row,) in told] == ["user", "user", "assistant"]


async def test_a_lost_transcript_of_a_run_that_was_answered_again_is_read_back_from_its_history() -> None:
    agent = desk(EXACT, evaluate=lambda response: response.message == "Nine.")
    async with embedded(agent, claude=in_order("Nine.")) as system:
        _, again = await both(agent, HOURS, HOURS)
        await system.require_store().transact(lambda db: db.execute("DELETE FROM transcript"))
        to = system.resources
        await to.recall.restore(to.store, system.temporal, again.id)
        assert len(await rows(system, f"SELECT row FROM transcript WHERE workflow = '{again.id}'")) == 2
