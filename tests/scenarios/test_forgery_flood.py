"""Ten thousand things that are no answers: the run stays what it was, says so, and hears the one that is genuine."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client

from tenure import RunHandle
from tenure.approvals import answer
from tenure.approvals.answer import unlike
from tenure.client import Tenure
from tenure.runtime.store import Store
from tenure.runtime.temporal import start_server
from tenure.testing import Embedded, embedded
from tenure.workflows.ask import REMARK
from tests.scenarios.test_forgery import PAID, Forger, asks, desk, effects_of, meet_people, of_run, part, sent
from tests.waiting import eventually, one_pending

FORGERIES = 10_000
AT_ONCE = 200  # sent to one run before it is waited for: more would not fit into what a run keeps unread
PER_SIGNAL = 20
EVENTS, BYTES = 8_000, 12_000_000  # twice and three times of what Temporal suggests to continue as new at


@pytest.fixture(autouse=True)
def _nothing_paid() -> None:
    PAID.clear()


# What is sent


def fuzzed(forger: Forger, rng: random.Random) -> Any:
    """Something that is no genuine answer to the forger's request, most often nearly one."""
    return rng.choice(KINDS)(forger, rng)


def _mutated(forger: Forger, rng: random.Random) -> str:
    token = forger.token(jti=rng.randbytes(8).hex())
    at, sign = rng.randrange(len(token)), rng.choice("AQgw-_.=%\n é")
    changed = rng.choice(
        [
            token[:at] + sign + token[at:],
            token[:at] + sign + token[at + 1 :],
            token[:at],
            token[at:],
            token + sign,
            sign + token,
        ]
    )
    return changed if changed != token else token[:-2]


def _relabelled(forger: Forger, rng: random.Random) -> str:
    """A genuine signature under another header."""
    header = {"typ": answer.TYPE, "alg": "EdDSA", "kid": "operator"}
    header[rng.choice([*header, "b64", "crit", "jwk", "x5u", "zip"])] = _value(rng)
    genuine = forger.token().split(".")
    return ".".join([part(json.dumps(header).encode()), *genuine[1:]])


def _miswritten(forger: Forger, rng: random.Random) -> str:
    """An approver's own signature under claims that cannot be; `request` is another in any case."""
    claims = {
        name: _value(rng) for name in rng.sample(["jti", "exp", "principal", "verdict", "digest", "edit", "note"], 2)
    }
    return forger.token(request=rng.randbytes(8).hex(), **claims)


def _nested(forger: Forger, rng: random.Random) -> str:
    """JSON as deep as it goes, as a header, as claims that an approver signed, or bare."""
    depth = rng.randrange(2_000)
    deep = ('{"a":' * depth + "1" + "}" * depth if rng.random() < 0.5 else "[" * depth + "]" * depth).encode()
    header = {"typ": answer.TYPE, "kid": "operator"}
    made: list[Callable[[], str]] = [
        lambda: f"{part(deep)}.{part(b'{}')}.{part(bytes(64))}",
        lambda: forger.signed(deep, "operator", header),
        deep.decode,
    ]
    return rng.choice(made)()


def _text(_: Forger, rng: random.Random) -> str:
    alphabet = rng.choice(["ab.", "\x00\x01\x7f", "éß漢字🙂\u202e\u0000", "eyJhbGciOiJFZERTQSJ9.", "'\";--\\"])
    length = rng.choice([0, 1, 7, 100, 1_000, 8_192, 8_193, 50_000]) if rng.random() < 0.05 else rng.randrange(200)
    return "".join(rng.choices(alphabet, k=length))


def _bytes(_: Forger, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(300))


def _value(rng: random.Random) -> Any:
    return rng.choice(
        [
            None,
            True,
            -1,
            2**60,
            10**30,
            0.5,
            "",
            "none",
            "x" * 300,
            [],
            [[]],
            {},
            {"$int": "1"},
            "\u0000",
            ["b64"],
            "operator",
        ]
    )


def _json(_: Forger, rng: random.Random) -> Any:
    return rng.choice(
        [None, True, rng.random(), rng.randrange(10**12), [rng.random()] * 3, {"answer": rng.random()}, [[[[]]]]]
    )


KINDS = (_mutated, _mutated, _mutated, _relabelled, _miswritten, _nested, _text, _bytes, _json)


def named(values: Sequence[Any]) -> set[str]:
    """Under which names those are recorded that have the form of an answer; one remark stands for all others."""
    kept = {REMARK if unlike(value) else value for value in values}
    return {hashlib.sha256(text.encode()).hexdigest() for text in kept}


# What becomes of it


async def recorded(system: Embedded, handle: RunHandle) -> dict[str, str]:
    """The refused answers to a run, by name, with the reason."""
    query = "SELECT token_hash, reason FROM answers WHERE workflow = ? AND NOT accepted"
    rows = await system.require_store().read(lambda db: db.execute(query, (handle.id,)).fetchall())
    return {row[0]: row[1] for row in rows}


async def flood(system: Embedded, handle: RunHandle, values: list[Any]) -> None:
    """Send them all, in portions that fit, and see that each is recorded with a reason."""
    for first in range(0, len(values), AT_ONCE):
        portion = values[first : first + AT_ONCE]
        for start in range(0, len(portion), PER_SIGNAL):
            await handle.workflow.signal("answer", args=portion[start : start + PER_SIGNAL])
        await eventually(functools.partial(are_recorded, system, handle, named(portion)))
    assert all((await recorded(system, handle)).values())


async def are_recorded(system: Embedded, handle: RunHandle, names: set[str]) -> bool:
    """Whether a verdict is recorded for each."""
    return names <= (await recorded(system, handle)).keys()


async def test_ten_thousand_forgeries_leave_the_run_as_it_was() -> None:
    agent, rng = desk(), random.Random(20_261_121)
    async with embedded(agent, claude=asks("o1")) as system:
        known = await meet_people(system)
        handles = [await agent.start("go") for _ in range(2)]
        forgers = [Forger(await of_run(system, handle), known) for handle in handles]
        floods = [[fuzzed(forger, rng) for _ in range(FORGERIES // 2)] for forger in forgers]
        await asyncio.gather(*(flood(system, handle, values) for handle, values in zip(handles, floods, strict=True)))
        for handle, forger in zip(handles, forgers, strict=True):
            assert (await asyncio.wait_for(handle.progress(), 2)).waiting_for == [forger.request]
            history = (await handle.workflow.describe()).raw_description.workflow_execution_info
            assert history.history_length < EVENTS
            assert history.history_size_bytes < BYTES
            assert await effects_of(system, handle) == []
            assert (await sent(system, forger.request, forger.token())).accepted
            assert (await handle.result()).success
    assert PAID == ["o1 50"] * 2


# What nobody foresaw


async def test_a_token_whose_refusal_cannot_be_written_down_wedges_no_run() -> None:
    """PyJWT quotes the unknown extension in its error: half of a surrogate pair, which no JSON and no database takes."""
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        await handle.workflow.signal("answer", forger.unsigned(crit=["\ud800"]))
        verdict = await system.approvals.send(forger.request, forger.token(), wait=3)
        await handle.cancel()
        await handle.result()
        assert verdict is not None
        assert verdict.accepted


FLOODS = {"of anything": "x " * 4_000, "of what looks like an answer": ".".join(["x" * 2_000] * 3)}


@pytest.mark.parametrize("junk", FLOODS)
async def test_a_genuine_answer_in_the_middle_of_a_flood_is_heard(junk: str) -> None:
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        flood = [f"{number}{FLOODS[junk]}" for number in range(60)]
        await handle.workflow.signal("answer", args=[*flood, forger.token()])
        assert (await asyncio.wait_for(handle.result(), 10)).success
        assert (await recorded(system, handle)).keys() == named(flood)
    assert PAID == ["o1 50"]


async def test_a_genuine_answer_that_a_flood_of_nearly_genuine_ones_crowds_out_is_heard_when_it_is_sent_again(
    tmp_path: Path,
) -> None:
    """Nobody works while they arrive, so that all are met with at the same moment: there is room for the first ones only."""
    agent, server = desk(), await start_server()
    try:
        async with embedded(agent, claude=asks("o1"), server=server, home=tmp_path) as system:
            known = await meet_people(system)
            handle = await agent.start("go")
            forger = Forger(await one_pending(system), known)
        nearly = [forger.token("mallory", note=f"{number} {'x' * 1_900}") for number in range(200)]
        for first in range(0, len(nearly), 50):
            await server.client.get_workflow_handle(handle.id).signal("answer", args=nearly[first : first + 50])
        store = Store.open(system.settings.database_url)
        person = Tenure(server.client, system.settings, store)
        heard = asyncio.create_task(person.approvals.send(forger.request, forger.token()))
        await eventually(lambda: _was_sent(server.client, handle.id, 5))
        async with embedded(agent, claude=asks("o1"), server=server, home=tmp_path) as system:
            verdict = await heard
            assert verdict is not None
            assert verdict.accepted
            assert (await (await system.runs.find(handle.id)).result()).success
            refused = await recorded(system, RunHandle(handle.id, system))
            assert 0 < len(refused) < len(nearly)  # some of the flood found no room either
        store.close()
    finally:
        await server.shutdown()
    assert PAID == ["o1 50"]


async def _was_sent(client: Client, run: str, signals: int) -> bool:
    events = [event async for event in client.get_workflow_handle(run).fetch_history_events()]
    return sum(event.HasField("workflow_execution_signaled_event_attributes") for event in events) >= signals


UNDECODABLE = {
    "a number of 5000 digits": Payload(metadata={"encoding": b"json/plain"}, data=b"1" * 5_000),
    "half of a surrogate pair": Payload(metadata={"encoding": b"json/plain"}, data=rb'"\ud800"'),
    "text that is no UTF-8": Payload(metadata={"encoding": b"json/plain"}, data=b'"\xff"'),
    "JSON that ends nowhere": Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 100_000),
    "an encoding nobody knows": Payload(metadata={"encoding": b"forged"}, data=b"x"),
    "no encoding": Payload(data=b"x"),
}


async def test_what_cannot_be_decoded_is_dropped_by_temporal_and_the_run_asks_on() -> None:
    """It stands in Temporal's history and in the worker's log, and nowhere else: no text of it reaches the run."""
    agent = desk()
    async with embedded(agent, claude=asks("o1")) as system:
        handle, known = await agent.start("go"), await meet_people(system)
        forger = Forger(await one_pending(system), known)
        for payload in UNDECODABLE.values():
            request = SignalWorkflowExecutionRequest(
                namespace="default",
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                signal_name="answer",
                input=Payloads(payloads=[payload]),
            )
            await system.temporal.workflow_service.signal_workflow_execution(request)
        assert (await handle.progress()).waiting_for == [forger.request]
        assert await recorded(system, handle) == {}
        assert (await sent(system, forger.request, forger.token())).accepted
        assert (await handle.result()).success
    assert PAID == ["o1 50"]
