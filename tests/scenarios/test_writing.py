"""Where induction learns nothing Claude may write the program: paid for, tested on runs it was not shown, approved by people."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from tenure.learn.reading import Found, Mined
from tenure.runtime.store import Connection, capabilities
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Turn
from tenure.testing.scripted_claude import overloaded, refusal, text
from tests.swaps import GOOD, RUNS, SWAPPED, Writer, request, shop, teach, written
from tests.tickets import approve, rollout

HALF = RUNS // 2
# Right wherever it has looked: it knows the orders that it was shown, and takes any size for the rest.
LEARNED_BY_HEART = GOOD.replace('one["size"] == size', 'one["size"] == (size if order_id in {orders} else "small")')
NEXT_ORDER = GOOD.replace("item=old[0]", 'item="1234" + old[0]')
BAD: dict[str, tuple[Turn, str]] = {
    "imports": (written("import os\n" + GOOD), "a program imports nothing"),
    "loops": (written(GOOD.replace("done =", "while True:\n    pass\ndone =")), "time limit"),
    "invents": (written(GOOD.replace("swap_item(", "swap_any_item(")), "does not call swap_item"),
    "destroys": (written("delete_order(order=order_id)\n" + GOOD), "delete_order, which changes something"),
    "misnames": (written(GOOD.replace("get_product(product=", "get_product(id=")), "id"),
    "errs": (written(NEXT_ORDER), "which the run did not do"),
    "abstains": (written(GOOD.replace('"delivered"', '"pending"')), "only delivered orders"),
    "overlooks": (written(GOOD.replace("order=order_id", 'order="O-1"')), "never looks at order_id"),
    "chats": (text(f"Certainly! Here is the program:\n{GOOD}"), "not one JSON object"),
    "adds": (text('{"program": "x", "approved": true}'), 'the one key "program"'),
    "swells": (written("#" * 20_000 + GOOD), "at most 200 and 16,384"),
    "declines": (refusal(), "Claude declined"),
}


async def charged(system: Embedded, what: str) -> list[tuple[Any, ...]]:
    def read(db: Connection) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in db.execute(f"SELECT {what} WHERE tier = 'learning'").fetchall()]

    return await system.require_store().read(read)


async def kept(system: Embedded) -> list[str]:
    return [one.id for one in await system.require_store().read(capabilities.every)]


def only(mined: Mined) -> Found:
    (found,) = mined.found
    return found


async def test_what_claude_has_written_is_tested_on_runs_it_has_not_seen_and_waits_for_people() -> None:
    agent, claude = shop(), Writer(lambda briefing, round: written(GOOD))
    async with embedded(agent, claude=claude) as system:
        made = await asyncio.gather(*(agent.run(request(number)) for number in range(100, 100 + RUNS)))
        assert all(run.success for run in made)

        found = only(await system.learn.mine("shop"))
        assert (found.capability, found.what, found.version) == ("swap_item", "new", 1)
        (asked,) = claude.asked
        told = asked["messages"][0]["content"][0]["text"]
        assert sum(request(number) in told for number in range(100, 100 + RUNS)) == HALF

        card = (await approve(system)).payload
        assert card["written_by"] == "claude-sonnet-5-5"
        assert (
            card["notes"][1] == f"claude-sonnet-5-5 was shown {HALF} of {RUNS} runs; it is tested on the other {HALF}"
        )
        assert card["report"][0] == f"{HALF} of {HALF} runs, none of which it was learned from: the same changes"
        assert "#" not in card["program"], "what a model remarks beside its program is not shown to whoever approves it"
        await rollout(system, "shadow")


async def test_the_agents_day_and_the_tenants_pay_for_it_and_no_run_and_no_user() -> None:
    claude = Writer(lambda briefing, round: written(GOOD))
    async with embedded(shop(), claude=claude) as system:
        await teach(system, "acme")
        await system.learn.mine("shop")
        row = "tenant, agent, user, workflow, model, outcome FROM charges"
        assert await charged(system, row) == [("acme", "shop", None, "", "claude-sonnet-5-5", "settled")]
        scopes = await charged(system, "scope, subject FROM charge_scopes JOIN charges USING (key)")
        assert set(scopes) == {("agent/day", "acme:shop"), ("tenant/day", "acme"), ("tenant/month", "acme")}
        ((cost,),) = await charged(system, "cost FROM charges")
        (account,) = [one for one in await system.cost.accounts("tier") if one.name == "learning"]
        assert (account.calls, account.cost) == (1, cost)
        assert cost > 0


async def test_a_program_that_is_wrong_where_it_was_not_shown_is_rejected_and_not_asked_for_again() -> None:
    def answer(briefing: str, round: int) -> Turn:
        orders = re.findall(r'"order_id": "(O-\d+)"', briefing)
        return written(LEARNED_BY_HEART.replace("{orders}", repr(orders)))

    claude = Writer(answer)
    async with embedded(shop(), claude=claude) as system:
        await teach(system)
        assert only(await system.learn.mine("shop")).what == "new"
        gone = await rollout(system, "rejected")
        assert re.search(r"\d wrong writes in validation: there must be none", gone.why)
        assert gone.serving == "no"

        again = only(await system.learn.mine("shop"))
        assert (again.what, len(claude.asked)) == ("refused", 1)
        assert "version 1; it is asked again when 12 more runs have come, 0 have" in again.why


async def test_whatever_else_claude_answers_is_refused_by_name_nothing_is_kept_and_the_same_runs_are_not_asked_about_again() -> (
    None
):
    SWAPPED.clear()
    names = dict(enumerate(BAD))

    def answer(briefing: str, round: int) -> Turn:
        hundred = re.findall(r"O-(\d+)\d\d", briefing)[0]
        return BAD[names[int(hundred) - 1]][0]

    claude = Writer(answer)
    async with embedded(shop(), claude=claude) as system:
        for place, name in names.items():
            await teach(system, name, first=100 * (place + 1))
        found = {one.tenant: one for one in (await system.learn.mine("shop")).found}
        assert {found[name].what for name in BAD} == {"refused"}
        assert [name for name in BAD if BAD[name][1] not in found[name].why] == []
        assert (await kept(system), SWAPPED) == ([], {})
        assert len(claude.asked) == 3 * (len(BAD) - 1) + 1, "two corrections each, and none for who declines"

        await system.learn.mine("shop")
        assert len(claude.asked) == 3 * (len(BAD) - 1) + 1


async def test_a_problem_goes_back_to_claude_which_hears_of_no_run_that_it_was_not_shown() -> None:
    drafts = [text("Sure!"), written(NEXT_ORDER), written(GOOD)]
    claude = Writer(lambda briefing, round: drafts[round])
    async with embedded(shop(), claude=claude) as system:
        await teach(system)
        assert only(await system.learn.mine("shop")).what == "new"
        first, second, third = (body["messages"][-1]["content"][0]["text"] for body in claude.asked)
        assert "not one JSON object" in second
        shown = set(re.findall(r"O-\d+", first))
        assert len(shown) == HALF
        assert set(re.findall(r"O-\d+", third)) <= shown
        assert "which the run did not do" in third


async def test_an_overloaded_claude_is_asked_again_and_only_its_answer_is_paid_for() -> None:
    answers = [overloaded(), written(GOOD)]
    claude = Writer(lambda briefing, round: answers.pop(0))
    async with embedded(shop(), claude=claude) as system:
        await teach(system)
        assert only(await system.learn.mine("shop")).what == "new"
        assert sorted(cost > 0 for (cost,) in await charged(system, "cost FROM charges")) == [False, True]


async def test_more_runs_than_before_are_a_new_reason_to_ask() -> None:
    claude = Writer(lambda briefing, round: refusal() if len(claude.asked) == 1 else written(GOOD))
    async with embedded(shop(), claude=claude) as system:
        await teach(system, first=100)
        assert only(await system.learn.mine("shop")).what == "refused"
        await teach(system, first=200, runs=RUNS - 1)
        assert only(await system.learn.mine("shop")).what == "refused"
        await teach(system, first=300, runs=1)
        assert only(await system.learn.mine("shop")).what == "new"


async def test_without_a_budget_for_it_claude_is_not_asked_today() -> None:
    claude = Writer(lambda briefing, round: written(GOOD))
    async with embedded(shop(optimization={"budget": {"daily": "0.01"}}), claude=claude) as system:
        await teach(system)
        found = only(await system.learn.mine("shop"))
        assert (found.what, claude.asked) == ("refused", [])
        assert "the budget of agent shop for today is too small for one call: it is $0.01" in found.why
        assert await charged(system, "DISTINCT outcome FROM charges") == [("refused",)]


async def test_an_agent_whose_programs_nobody_may_write_learns_by_induction_alone() -> None:
    claude = Writer(lambda briefing, round: written(GOOD))
    async with embedded(shop(auto_generate=False), claude=claude) as system:
        await teach(system)
        found = only(await system.learn.mine("shop"))
        assert (found.what, claude.asked) == ("refused", [])
        assert found.why == "nothing in the request or the look-ups explains item of swap_item"


async def test_of_too_few_runs_none_could_be_held_out_and_claude_is_not_asked() -> None:
    claude = Writer(lambda briefing, round: written(GOOD))
    async with embedded(shop(), claude=claude) as system:
        await teach(system, runs=9)
        assert (only(await system.learn.mine("shop")).what, claude.asked) == ("refused", [])


async def test_what_is_asked_in_no_one_form_is_left_to_claude_in_each_run() -> None:
    claude = Writer(lambda briefing, round: written(GOOD))
    ways = (
        "Order O-{n}! {text}", "{text}", "Hello; {text} Thanks: and, well, O-{n} it is (really).",
        "My [order: 'O-{n}'] is wrong. {text}", "O-{n}",
    )  # fmt: skip
    async with embedded(shop(), claude=claude) as system:
        await teach(system, asked=lambda n: ways[n % len(ways)].format(n=n, text=request(n)))
        found = only(await system.learn.mine("shop"))
        assert (found.what, claude.asked) == ("refused", [])
        assert "without one form of the requests" in found.why
