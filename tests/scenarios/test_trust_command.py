"""`tenure trust`: where an agent stands and what is missing, what its figures say, and how people are asked to give back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tenure import Agent, tool
from tenure.approvals.request import Kind, Request
from tenure.runtime.store import Connection, approvals, ledgers, outcomes
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Json, turn_of
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust import reading
from tenure.trust.evidence import Evidence, Judged
from tenure.trust.ledger import Change, Ledger, Proposal
from tests.typing_commands import Tenure, at
from tests.waiting import eventually


@tool(effect="read")
async def get(what: str) -> str:
    """Get."""
    return what


@tool(effect="write", idempotent=True)
async def put(what: str) -> str:
    """Put."""
    return what


@tool(effect="egress", idempotent=True)
async def send(amount: int) -> str:
    """Send."""
    return str(amount)


RULES = [
    {"metric": "success_rate", "threshold": 0.95, "action": "increment", "amount": 0.1},
    {"metric": "error_rate", "threshold": 0.10, "action": "decrement", "amount": 0.2},
]
TRUST = {
    "initial": 0.3,
    "cap": 0.8,
    "permissions": {0.1: ["get"], 0.3: ["put"], 0.4: ["send(amount <= 9)"], 0.9: ["*"]},
}
desk = Agent(name="desk", tools=[get, put, send], trust={**TRUST, "rules": RULES})
literal = Agent(name="literal", trust={**TRUST, "rules": RULES, "evidence": "point"})
plain = Agent(name="plain")
NOW = round(time.time() * 1000)


def script(body: Json) -> Any:
    return (
        tool_use("get", what="it")
        if "get it" in json.dumps(body["messages"][0]) and turn_of(body) == 0
        else text("Ok.")
    )


@pytest.fixture(scope="module")
async def system() -> AsyncGenerator[Embedded]:
    with pytest.MonkeyPatch.context() as quick:
        quick.setattr(outcomes, "EVERY_MS", 100)
        quick.setattr(reading, "EVERY", 150)
        async with embedded(desk, literal, plain, claude=script) as made:
            yield made


@pytest.fixture
def tenure(system: Embedded) -> Tenure:
    return at(system.settings.home, system.temporal.service_client.config.target_host)


async def keep(system: Embedded, tenant: str, agent: Agent = desk, **fields: Any) -> None:
    """A ledger as it may stand after a while. Any: its fields."""
    kept = Ledger.model_validate({"level": 3, "fingerprint": agent.fingerprint, "changed_at": NOW, **fields})
    await system.require_store().transact(lambda db: ledgers.keep(db, tenant, agent.name, kept, 0, NOW))


def evidence(good: int, bad: int = 0) -> Evidence:
    words = [
        Judged(run=f"r{place}", good=place >= bad, place=place + 1, counts={"success_rate": place >= bad})
        for place in range(good + bad)
    ]
    return Evidence(judged={word.run: word for word in words}, finished=good + bad)


def one_line(said: str) -> str:
    return " ".join(said.split())


async def test_nothing_judged_is_said_and_not_hidden(system: Embedded, tenure: Tenure) -> None:
    for number in range(2):
        await desk.run(f"task {number}", tenant="silent", client=system)
    told = await tenure("trust", "desk", "--tenant", "silent")
    assert told.exit_code == 0
    assert [line.split(None, 1) for line in told.stdout.splitlines()[:3]] == [
        ["agent", f"desk@{desk.fingerprint[:8]}, tenant silent"],
        ["level", "0.3 of at most 0.8"],
        ["judged", "0 of 2 runs judged: add evaluate= or feedback"],
    ]


async def test_a_tenant_nobody_has_seen_has_no_level_but_one_its_first_run_would_begin_at(
    system: Embedded, tenure: Tenure
) -> None:
    await desk.run("task", tenant="silent", client=system)
    for tenant, hint in (("slient", "did you mean 'silent'?"), ("xxxx", "there are ")):
        said = one_line((await tenure("trust", "desk", "--tenant", tenant)).stdout)
        assert f"level nothing is known of tenant '{tenant}': {hint}" in said
        assert "its first run would begin at 0.3 of at most 0.8" in said
        assert not json.loads((await tenure("trust", "desk", "--tenant", tenant, "--json")).stdout)["tenant_known"]
    assert json.loads((await tenure("trust", "desk", "--tenant", "silent", "--json")).stdout)["tenant_known"]


async def test_without_a_word_the_command_lists_what_there_is(tenure: Tenure) -> None:
    told = await tenure("trust")
    assert (told.exit_code, told.stderr) == (0, "")
    assert re.search(r"^  compile ", told.stdout, re.MULTILINE)


async def test_a_word_about_a_run_is_evidence_that_the_page_counts(system: Embedded, tenure: Tenure) -> None:
    runs = [(await desk.run(f"task {number}", tenant="told", client=system)).id for number in range(3)]
    for run, word in zip(runs, ("good", "good", "bad"), strict=True):
        assert (await tenure("feedback", run, word, "--by", "alice")).exit_code == 0

    async def counted() -> str:
        said = one_line((await tenure("trust", "desk", "--tenant", "told")).stdout)
        return said if "2 of 3 since the last change" in said else ""

    said = await eventually(counted)
    assert "judged 3 of 3 runs judged: 2 good, 1 not" in said
    assert "next step +0.1 at success_rate 0.95: 2 of 3 since the last change, so at least 0.135 (95 % sure);" in said


@pytest.mark.parametrize(
    ("agent", "good", "bad", "missing"),
    [
        (desk, 20, 0, "20 of 20 since the last change, so at least 0.860 (95 % sure); 9 more good runs"),
        (desk, 29, 0, "29 of 29 since the last change, so at least 0.901 (95 % sure); enough, after the cool-down of a day"),
        (desk, 50, 6, "too many failed, newer runs must take their place"),
        (literal, 1, 0, "1 of 1 since the last change; enough, after the cool-down of a day"),
        (literal, 0, 0, "0 of 0 since the last change; 1 more good run"),
    ],
    ids=["some", "enough", "too many failed", "point", "point, none"],
)  # fmt: skip
async def test_the_page_says_what_is_missing_for_the_next_step(
    system: Embedded, tenure: Tenure, agent: Agent, good: int, bad: int, missing: str
) -> None:
    await keep(system, "missing", agent, evidence=evidence(good, bad))
    said = one_line((await tenure("trust", agent.name, "--tenant", "missing")).stdout)
    assert missing in said
    assert ("a single good run may be enough" in said) == (agent is literal)


async def test_at_the_cap_and_while_people_are_asked_there_is_no_next_step(system: Embedded, tenure: Tenure) -> None:
    await keep(system, "capped", level=8)
    assert "next step none: 0.8 is its cap" in one_line((await tenure("trust", "desk", "--tenant", "capped")).stdout)
    proposal = Proposal(number=1, kind="rise", before=3, to=4, epoch=1, evidence="00", why="29 of 29", opened_at=NOW)
    await keep(system, "proposed", proposal=proposal, evidence=evidence(29))
    said = one_line((await tenure("trust", "desk", "--tenant", "proposed")).stdout)
    assert ("proposed 0.4, " in said, ": 29 of 29 do tenure pending" in said, "next step" in said) == (
        True,
        True,
        False,
    )


async def test_every_change_is_told_with_who_signed_it_the_newest_ten(system: Embedded, tenure: Tenure) -> None:
    rises = [
        Change(at=NOW + n, kind="rise", before=n % 8, after=n % 8 + 1, why=f"reason {n}", by=["alice", "bob"], epoch=n)
        for n in range(12)
    ]
    await keep(system, "changed", changes=rises)
    said = (await tenure("trust", "desk", "--tenant", "changed")).stdout
    assert "2 earlier changes: --json has them" in said
    assert "reason 1\n" not in said
    assert "rise 0.3 → 0.4, signed by alice and bob\n                     reason 11" in said
    assert [line for line in said.splitlines() if len(line) > 80] == []
    found = json.loads((await tenure("trust", "desk", "--tenant", "changed", "--json")).stdout)
    assert (found["level"], found["cap"], found["severe"], len(found["changes"])) == ("0.3", "0.8", False, 12)
    assert found["next"] == [
        {"metric": "success_rate", "threshold": "0.95", "met": 0, "judged": 0, "at_least": 0.0, "more": 29}
    ]


async def test_a_build_that_the_ledger_has_not_heard_of_is_shown_at_the_initial_level(
    system: Embedded, tenure: Tenure
) -> None:
    await keep(system, "rebuilt", level=7, fingerprint="0123456789abcdef")
    assert "0.3 of at most 0.8" in (await tenure("trust", "desk", "--tenant", "rebuilt")).stdout


def request(tenant: str, number: int, tool: str, arguments: Json) -> Request:
    return Request(
        id=f"req-{tenant}-{number}",
        kind=Kind.TOOL_CALL,
        tenant=tenant,
        workflow=f"{tenant}:run:desk:{number}",
        agent="desk",
        seq=1,
        payload={"tool": tool, "arguments": arguments},
        why=f"{tool} needs level 0.4, and the agent has 0.3",
        digest="00",
        opened_at=NOW,
    )


async def ask(system: Embedded, tenant: str, answers: list[tuple[str, str, int]], amount: int = 5) -> None:
    """Requests as they ended: the choice (empty: open), by whom, after how many milliseconds."""

    def write(db: Connection) -> None:
        for number, (choice, by, took) in enumerate(answers):
            asked = request(tenant, number, "send", {"amount": amount + number % 2 * 10})
            approvals.open_request(db, asked)
            if choice:
                approvals.close_request(db, asked.id, choice, by, NOW + took)

    await system.require_store().transact(write)


async def test_the_figures_say_how_much_is_asked_and_what_the_next_level_would_spare(
    system: Embedded, tenure: Tenure
) -> None:
    await desk.run("get it", tenant="figures", client=system)
    await desk.run("task", tenant="figures", client=system)
    answers = [("approve", "alice", 60_000), ("approve", "bob", 120_000), ("deny", "alice", 180_000)]
    await ask(system, "figures", [*answers, ("expired", "", 9), ("", "", 0)])
    said = one_line((await tenure("trust", "stats", "desk", "--tenant", "figures", "--days", "7")).stdout)
    for line in (
        "runs 2 ended in the last 7 days",
        "ended 2 answered",
        "asked 5 times, 2.50 a run; 1 open",
        "people 67% approved of 3 answered, half of them within 2 min; 1 ran out",
        "taint 50% of the runs have read what others wrote",
        "level 0.4 would have let 3 of them through",  # of five, two are about more than the level allows
        "unused allowed, and never called: put",
    ):
        assert line in said
    assert "WARNING" not in said
    found = json.loads((await tenure("trust", "stats", "desk", "--tenant", "figures", "--json")).stdout)
    assert (found["asked"], found["approved"], found["denied"], found["expired"], found["open"]) == (5, 2, 1, 1, 1)
    assert (found["next_level"], found["next_allows"], found["unused"]) == ("0.4", 3, ["put"])
    assert (found["median_ms"], found["rubber_stamps"]) == (120_000, [])


@pytest.mark.parametrize(
    ("approved", "denied", "took", "warned"),
    [(20, 0, 1_200, True), (20, 1, 1_200, True), (20, 2, 1_200, False), (19, 0, 1_200, False), (20, 0, 5_000, False)],
    ids=["a stamp", "one denied", "two denied", "too few to say", "somebody reads"],
)
async def test_who_approves_faster_than_one_can_read_is_named(
    system: Embedded, tenure: Tenure, approved: int, denied: int, took: int, warned: bool
) -> None:
    tenant = f"stamp{approved}-{denied}-{took}"
    await ask(system, tenant, [("approve", "zoe", took)] * approved + [("deny", "zoe", took)] * denied)
    said = one_line((await tenure("trust", "stats", "desk", "--tenant", tenant)).stdout)
    warning = (
        f"WARNING zoe approved {approved} of {approved + denied}, half of them within 1.2 s: nobody reads that fast"
    )
    assert (warning in said, "WARNING" in said) == (warned, warned)


async def test_an_incident_takes_everything_until_two_people_lift_it(system: Embedded, tenure: Tenure) -> None:
    run = await desk.run("task", tenant="unsafe", client=system)
    assert (await tenure("feedback", run.id, "unsafe", "--note", "mailed a stranger", "--by", "alice")).exit_code == 0

    async def fallen() -> str:
        said = one_line((await tenure("trust", "desk", "--tenant", "unsafe")).stdout)
        return said if "incident 0.3 → 0" in said else ""

    said = await eventually(fallen)
    assert "level 0 of at most 0.8" in said
    assert "incident `tenure trust restore desk --reason ...` asks two people to lift it" in said
    assert "next step" not in said
    asked = await tenure("trust", "restore", "desk", "--tenant", "unsafe", "--reason", "the mail was a test")
    assert (asked.exit_code, asked.stdout[:7]) == (0, "asked: ")
    request = await pending(system, "unsafe")
    assert (request.payload["from"], request.payload["to"], request.quorum) == ("0", "0.3", 2)
    assert request.why.startswith("the mail was a test; it was taken after an incident in run ")
    await system.approve(request)

    async def lifted() -> bool:
        return "restore 0 → 0.3, signed by" in (await tenure("trust", "desk", "--tenant", "unsafe")).stdout

    await eventually(lifted)


async def test_what_another_build_had_earned_is_carried_over_by_a_signature(system: Embedded, tenure: Tenure) -> None:
    await keep(system, "carried", earned=5)
    words = ("trust", "carry", "desk", "--tenant", "carried", "--reason", "replayed 200 runs")
    assert (await tenure(*words)).exit_code == 0
    request = await pending(system, "carried")
    assert (request.payload["step"], request.payload["to"], request.quorum) == ("carry", "0.5", 1)


async def pending(system: Embedded, tenant: str) -> Request:
    async def look() -> Request | None:
        every = await system.approvals.pending()
        return next((one for one in every if one.tenant == tenant and one.kind is Kind.ESCALATION), None)

    found = await eventually(look)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("nobody", "no worker has announced an agent 'nobody': there are desk, literal, plain"),
        ("stats nobody", "no worker has announced an agent 'nobody'"),
        ("plain", "plain has no trust=: it has no level, and nothing to earn"),
        ("stats plain", "plain has no trust=: it has no level, and nothing to earn"),
        ("restore nobody --reason why", "no worker has announced an agent 'nobody'"),
        ("restore desk --tenant never --reason why", "desk has no ledger of trust for tenant never"),
        ("restore desk --tenant well --reason why", "nothing to restore for tenant well: no severe incident stands"),
        ("carry desk --tenant well --reason why", "nothing to carry over: no other build of it had earned more"),
        ("carry desk --tenant severe --reason why", "a severe incident of desk stands"),
        (
            "restore desk --tenant severe --reason ''",
            "reason '': say why in words that the people who are asked can judge\n",
        ),
        ("restore desk", "Missing option '--reason'"),
        ("stats desk --days 0", "0 is not in the range x>=1"),
    ],
)
async def test_what_cannot_be_done_is_one_line(system: Embedded, tenure: Tenure, words: str, problem: str) -> None:
    await keep(system, "well")
    await keep(system, "severe", level=0, severe=True, earned=3)
    told = await tenure("trust", *("" if word == "''" else word for word in words.split()))
    assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert problem in told.stderr
