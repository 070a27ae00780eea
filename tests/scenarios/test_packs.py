"""A capability is taken from one Tenure to another: signed, tested on the runs of that place, and asked about there."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenure.errors import AnswerRefused, BadInput
from tenure.learn.capability import Capability
from tenure.runtime import keys
from tenure.runtime.packs import TYPE, Pack, sign
from tenure.testing import Embedded, embedded
from tests.tickets import SOON, approve, claude, closed, desk, request, rollout, tidied
from tests.typing_commands import at
from tests.waiting import one_pending

__all__ = ["tidied"]


async def packed(home: Path, number: int = 1000) -> str:
    """What was learned elsewhere, as `operator` there has packed it."""
    agent = desk(SOON)
    async with embedded(agent, claude=claude, home=home) as there:
        await closed(agent, range(number, number + 6))
        await there.learn.mine("tickets")
        await one_pending(there)
        return there.learn.pack(await there.learn.of("close_ticket"), "operator")


async def unchanged(here: Embedded) -> bool:
    """Nothing was taken in."""
    return await here.learn.every() == [] and await here.approvals.pending() == []


async def test_what_was_learned_elsewhere_is_tested_on_the_runs_here_and_people_here_are_asked(tmp_path: Path) -> None:
    token = await packed(tmp_path / "there")
    agent = desk(SOON)
    async with embedded(agent, claude=claude, home=tmp_path / "here") as here:
        made = Pack.model_validate_json(_claims(token))
        ours = sign(made, keys.load(here.settings.home / "keys", "operator"))  # whoever brings it signs for it here
        await closed(agent, range(3000, 3003))
        found = await here.learn.unpack("tickets", ours)
        assert (found.capability, found.what, found.version, found.runs) == ("close_ticket", "new", 1, 3)
        asked = await approve(here)
        assert asked.payload["report"][0] == "3 of 3 runs, none of which it was learned from: the same changes"
        assert asked.payload["notes"][0].startswith("operator packed it: it was learned elsewhere, of 6 runs")
        await rollout(here, "shadow")
        assert (await here.learn.unpack("tickets", ours)).what == "known"


async def test_where_nothing_like_it_was_recorded_it_is_rejected(tmp_path: Path) -> None:
    token = await packed(tmp_path / "there")
    agent = desk(SOON)
    async with embedded(agent, claude=claude, home=tmp_path / "here") as here:
        ours = sign(Pack.model_validate_json(_claims(token)), keys.load(here.settings.home / "keys", "operator"))
        await here.learn.unpack("tickets", ours)
        gone = await rollout(here, "rejected")
        assert "0% of the held-out runs" in gone.why


async def test_a_pack_that_is_not_as_it_must_be_is_refused_named_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    token = await packed(tmp_path / "there")
    agent = desk(SOON)
    async with embedded(agent, claude=claude, home=tmp_path / "here") as here:
        told = Pack.model_validate_json(_claims(token))
        key = keys.load(here.settings.home / "keys", "operator")

        def resigned(**other: object) -> str:
            changed = Capability.model_validate(told.capability.model_dump() | other)
            return sign(told.model_copy(update={"capability": changed}), key)

        program = told.capability.program
        for pack, why in (
            (token, "signature does not hold under the key of 'operator'"),
            (_altered(sign(told, key)), "signature does not hold|malformed"),
            (sign(told.model_copy(update={"by": "nobody"}), key), "nobody"),
            ("eyJhbGciOiJub25lIn0.e30.", "this is no pack"),
            ("so it is", "this is no pack"),
            ("x" * 300_000, "a pack of 300,000 characters"),
            (resigned(fingerprint="0" * 64), "learned of the build 00000000, this is"),
            (resigned(agent="shop"), "of the agent 'shop', not of 'tickets'"),
            (
                resigned(tools=["wire_money", "close_ticket", "get_ticket"]),
                "calls wire_money, which tickets does not have",
            ),
            (_with_more(told, key), "holds what this version of Tenure does not know"),
            (resigned(tools=["close_ticket"]), "its program calls get_ticket, which it is not said to call"),
            (resigned(program=_deaf(program), slots=told.capability.slots), "depends on duplicate_of of the request"),
            (resigned(program=f"import os\n{program}"), "a program imports nothing"),
        ):
            with pytest.raises((BadInput, AnswerRefused), match=why):
                await here.learn.unpack("tickets", pack)
            assert await unchanged(here)


async def test_an_operator_packs_and_unpacks_by_hand(tmp_path: Path) -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        tenure = at(system.settings.home, system.temporal.service_client.config.target_host)
        await closed(agent, range(1000, 1006))
        await system.learn.mine("tickets")
        await one_pending(system)
        file = tmp_path / "close_ticket.pack"
        file.write_text((await tenure("learn", "pack", "close_ticket")).output)
        told = await tenure("learn", "unpack", "tickets", str(file))
        assert "close_ticket (6 runs of tenant default): known, version 1" in told.output
        file.write_text(file.read_text().replace(".e", ".f", 1))
        refused = await tenure("learn", "unpack", "tickets", str(file))
        assert (refused.exit_code, "pack" in refused.output) == (2, True)
        assert (await agent.run(request(1300))).tier == "model"


def _claims(token: str) -> bytes:
    return jwt.api_jws.decode(token, options={"verify_signature": False})


def _with_more(pack: Pack, key: Ed25519PrivateKey) -> str:
    """As a newer Tenure may pack it."""
    claims = pack.model_dump(mode="json")
    claims["capability"]["valid_until"] = 5
    headers = {"typ": TYPE, "kid": pack.by}
    return jwt.api_jws.encode(json.dumps(claims).encode(), key, algorithm="EdDSA", headers=headers)


def _deaf(program: str) -> str:
    """The program without looking at one of the places that the request fills."""
    return (
        program.replace("duplicate_of=duplicate_of", "duplicate_of='T-1'")
        .replace("duplicate_of", "ticket_id")
        .replace("ticket_id='T-1'", "duplicate_of='T-1'")
    )


def _altered(token: str) -> str:
    head, body, signature = token.split(".")
    return f"{head}.{body[:-8]}AAAAAAAA.{signature}"
