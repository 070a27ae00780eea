"""Feedback: people and programs judge finished runs, from code and from the command line."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tenure import Agent, tool
from tenure.cli import main
from tenure.errors import BadInput, NotFound, StoreUnavailable
from tenure.runtime.store import ledgers, verdicts
from tenure.testing import Embedded, embedded
from tenure.testing.messages_api import Json
from tenure.testing.scripted_claude import text, tool_use
from tenure.trust.ledger import Ledger
from tests.waiting import eventually


@tool(effect="read")
async def wait() -> None:
    """Wait until somebody cancels the run."""
    await asyncio.Event().wait()


clerk, scribe = Agent(name="clerk", tools=[wait]), Agent(name="scribe")
trusted = Agent(name="trusted", tools=[wait], trust={"initial": 0.3, "permissions": {0.1: ["wait"]}})


def script(body: Json) -> Any:
    """Wait when asked to, else answer."""
    return tool_use("wait") if "wait" in json.dumps(body["messages"][0]) else text("Done.")


@pytest.fixture(scope="module")
async def system() -> AsyncGenerator[Embedded]:
    async with embedded(clerk, scribe, trusted, claude=script) as made:
        yield made


async def done(system: Embedded, agent: Agent = clerk, **options: Any) -> str:
    return (await agent.run("Do it.", client=system, **options)).id


async def typed(system: Embedded, *words: str, command: str = "feedback") -> Result:
    env = {"TENURE_HOME": str(system.settings.home), "TEMPORAL_ADDRESS": "127.0.0.1:1", "COLUMNS": "80"}
    return await asyncio.to_thread(CliRunner(env=env).invoke, main, [command, *words])


async def test_several_sources_judge_a_run_and_each_may_change_its_mind(system: Embedded) -> None:
    run = await done(system)
    assert await system.feedback.of(run) == []
    first = await system.feedback.give(run, True, note="as it should be")
    assert (first.workflow, first.source, first.good, first.note) == (run, "client", True, "as it should be")
    await system.feedback.give(run, True, source=verdicts.person("alice"))
    await system.feedback.give(run.rpartition(":")[2], False, note="too late")
    found = await system.feedback.of(run.rpartition(":")[2])
    assert {one.source: (one.good, one.note) for one in found} == {
        "client": (False, "too late"),
        "person:alice": (True, ""),
    }


async def test_a_run_that_is_not_over_is_not_judged_yet(system: Embedded) -> None:
    handle = await clerk.start("Please wait.", client=system)

    async def observed() -> bool:
        return any(row.workflow == handle.id for row in await system.runs.list(agent="clerk"))

    await eventually(observed)
    with pytest.raises(BadInput, match=r"is running: a verdict is on a run that is over"):
        await system.feedback.give(handle.id, True)
    await handle.cancel()
    await handle.result()
    assert not (await system.feedback.give(handle.id, False)).good


async def test_what_cannot_be_kept_is_named(system: Embedded) -> None:
    run = await done(system)
    with pytest.raises(NotFound, match="no run 'default:run:clerk:never'"):
        await system.feedback.give("default:run:clerk:never", True)
    with pytest.raises(NotFound, match="no run 'never-heard-of'"):
        await system.feedback.of("never-heard-of")
    with pytest.raises(NotFound, match="no run 'default:run:clerk:never'"):
        await system.feedback.of("default:run:clerk:never")
    with pytest.raises(BadInput, match=r"a note of 8,001 characters: at most 8,000"):
        await system.feedback.give(run, True, note="x" * 8001)
    for source in ("", " ", "person:a\nb", "x" * 201):
        with pytest.raises(BadInput, match="printable characters, such as 'client'"):
            await system.feedback.give(run, True, source=source)
    assert await system.feedback.of(run) == []
    await system.feedback.give(run, True, note="n" * 7999 + "\ud800")
    assert (await system.feedback.of(run))[0].note.endswith("n?")


async def test_the_command_judges_as_the_user_who_types(system: Embedded) -> None:
    run = await done(system)
    last = run.rpartition(":")[2]
    told = await typed(system, last)
    assert told.stdout == f"nobody has judged this run: tenure feedback {last} good|bad|unsafe\n"
    told = await typed(system, last, "good", "--note", "the right [ticket]")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.startswith(f"{run}\n  good  by person:{getpass.getuser()}, ")
    assert "the right [ticket]" in told.stdout
    told = await typed(system, last, "bad", "--by", "Bob Okafor")
    assert "bad   by person:Bob Okafor" in told.stdout
    assert told.stdout.endswith("they disagree: the run counts as bad\n")
    shown = json.loads((await typed(system, run, "--json")).stdout)
    assert [(one["run"], one["verdict"], one["note"]) for one in shown] == [
        (run, "good", "the right [ticket]"),
        (run, "bad", ""),
    ]


async def test_the_summary_counts_by_agent_and_says_when_nobody_judges(system: Embedded) -> None:
    for good in (True, False):
        await system.feedback.give(await done(system, tenant="acme"), good)
    await done(system, scribe)
    (tally,) = await system.feedback.summary(agent="clerk", tenant="acme")
    assert (tally.finished, tally.good, tally.bad) == (2, 1, 1)
    told = (await typed(system, "--summary")).stdout
    assert told.splitlines()[0].split() == ["agent", "finished", "good", "bad"]
    assert ["clerk", "(acme)", "2", "1", "1"] in [line.split() for line in told.splitlines()]
    assert "scribe: 0 of 1 run judged: add evaluate= or feedback" in told
    assert "clerk: 0 of" not in told
    (only,) = json.loads((await typed(system, "--summary", "--agent", "scribe", "--json")).stdout)
    assert only == {"agent": "scribe", "tenant": "default", "finished": 1, "good": 0, "bad": 0}
    assert (await typed(system, "--summary", "--agent", "nobody")).stdout == "no run of 'nobody' is over yet\n"


async def test_unsafe_says_what_falls_and_who_restores_it(system: Embedded) -> None:
    run = await done(system, trusted, tenant="acme")
    told = await typed(system, run, "unsafe", "--by", "alice", "--note", "mailed a stranger")
    assert re.search(r"^  unsafe +by person:alice, ", told.stdout, re.MULTILINE)
    assert told.stdout.endswith(
        "mailed a stranger\nthe level of trusted for tenant acme falls to 0 until two people restore it:\n"
        "`tenure trust restore trusted --tenant acme --reason WHY`\n"
    )
    (listed,) = json.loads((await typed(system, run, "--json")).stdout)
    assert (listed["verdict"], listed["moves_level"]) == ("unsafe", True)
    assert "judged  unsafe by person:alice: mailed a stranger" in (await typed(system, run, command="show")).stdout


async def test_unsafe_said_again_of_a_run_or_of_an_agent_without_trust_makes_nothing_fall(system: Embedded) -> None:
    run = await done(system, trusted, tenant="again")
    stood = Ledger(level=0, epoch=99, fingerprint=trusted.fingerprint, incidents=[run.rpartition(":")[2]])
    await system.require_store().transact(lambda db: ledgers.keep(db, "again", "trusted", stood, 0, 1))
    assert "has counted before, so no level falls again" in (await typed(system, run, "unsafe")).stdout
    told = await typed(system, await done(system), "unsafe")
    assert "clerk has no trust=, so no level falls: `tenure halt clerk --reason WHY` stops it" in told.stdout


async def test_a_word_about_a_run_that_an_operator_or_an_outage_ended_is_said_to_move_no_level(
    system: Embedded,
) -> None:
    handle = await trusted.start("Please wait.", client=system)
    await handle.cancel()
    await handle.result()
    for word in ("good", "bad"):
        told = await typed(system, handle.id, word)
        assert told.stdout.endswith(
            "kept, and it moves no level: the run ended as cancelled, which says nothing of the agent\n"
        )
    (listed,) = json.loads((await typed(system, handle.id, "--json")).stdout)
    assert (listed["verdict"], listed["moves_level"]) == ("bad", False)
    assert "falls to 0" in (await typed(system, handle.id, "unsafe")).stdout, "what is severe counts whatever the end"


async def test_a_word_about_a_run_of_another_build_is_said_to_move_no_level(system: Embedded) -> None:
    run = await done(system, trusted)
    older = "UPDATE runs SET fingerprint = '0123456789abcdef' WHERE workflow = ?"
    await system.require_store().transact(lambda db: db.execute(older, (run,)).rowcount)
    told = await typed(system, run, "bad")
    assert told.stdout.endswith("it moves no level: the run is of another build of the agent than is served now\n")


async def test_a_word_that_counts_needs_no_more_words(system: Embedded) -> None:
    run = await done(system, trusted)
    told = await typed(system, run, "good")
    assert len(told.stdout.splitlines()) == 2
    assert json.loads((await typed(system, run, "--json")).stdout)[0]["moves_level"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a RUN and say good or bad, or ask for --summary alone"),
        (["x", "good", "--summary"], "or ask for --summary alone"),
        (["x", "fine"], "'fine' is not one of 'good', 'bad'"),
        (["nothing-like-it", "good"], "no run 'nothing-like-it'"),
    ],
)
async def test_a_mistake_is_one_line_that_names_it(system: Embedded, words: list[str], said: str) -> None:
    told = await typed(system, *words)
    assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert said in told.stderr


async def test_without_a_store_there_is_nothing_to_judge(system: Embedded) -> None:
    from tenure.client import Tenure

    with pytest.raises(StoreUnavailable, match="no store at"):
        await Tenure(system.temporal, system.settings).feedback.give("default:run:clerk:x", True)
