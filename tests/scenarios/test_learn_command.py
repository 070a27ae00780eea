"""`tenure learn`: what an operator reads of what was learned, at 80 columns, and what they type."""

from __future__ import annotations

import json
from typing import Any

from tenure.testing import embedded
from tests.tickets import SOON, claude, closed, desk, request, rollout, tidied
from tests.typing_commands import at
from tests.waiting import eventually, one_pending

__all__ = ["tidied"]


async def test_an_operator_finds_reads_approves_pauses_and_takes_back_what_was_learned() -> None:
    agent = desk(SOON)
    async with embedded(agent, claude=claude) as system:
        typed = at(system.settings.home, system.temporal.service_client.config.target_host)
        said: list[str] = []

        async def tenure(*words: str, code: int = 0) -> str:
            told = await typed(*words)
            assert told.exit_code == code, (words, told.output, told.exception)
            said.append(told.output)
            return told.output

        assert "nothing was learned yet" in await tenure("learn")
        await closed(agent, range(1000, 1006))
        assert "6 recorded runs, 6 of them judged" in await tenure("learn", "patterns", "tickets", "--least", "4")
        assert "close_ticket (6 runs of tenant default): version 1 is being tested" in await tenure(
            "learn", "mine", "tickets"
        )
        asked = await one_pending(system)
        card = await tenure("pending")
        for line in (
            "what      deploy close_ticket version 1: it looks on, and changes nothing;",
            "changes   close_ticket",
            "ticket / status is open",
            "“Please close ticket T-100",  # five of the six
            "tested    6 of 6 runs, each by a program learned from the others: the same",
            "close_ticket(duplicate_of=duplicate_of, ticket=ticket_id)",
            f"tenure approve {asked.id}",
            asked.payload["digest"],
        ):
            assert line in card, card
        for told in ("tenure learn show close_ticket --agent tickets", "then it serves nobody, and may be reopened"):
            assert told in " ".join(card.split())
        assert "people are asked to deploy it: `tenure learn approve" in await tenure("learn")
        for wrong in ((), ("--version", "2")):
            refused = await tenure("learn", "approve", "close_ticket", *wrong, code=2)
            assert "people are asked to deploy close_ticket version 1" in refused, "an answer is about what was read"
        signed = await tenure("approve", asked.id, "--print")
        said.pop()  # a token is as long as it is
        assert "deploy close_ticket version 1: it looks on" in " ".join(signed.split())
        assert "approve by operator counts" in await tenure("learn", "approve", "close_ticket", "--version", "1")
        await rollout(system, "shadow")

        assert "is not paused: it is shadow" in await tenure("learn", "resume", "close_ticket", code=2)
        await tenure("learn", "pause", "close_ticket", "--by", "sam", "--reason", "audit")
        assert "serves nobody: pause" in await tenure("learn", "show", "close_ticket")
        await eventually(lambda: _shows(typed, "shadow, paused, serves nobody: paused: sam: audit"))
        assert "tenure learn resume close_ticket" in await tenure("learn", "status")
        await tenure("learn", "resume", "close_ticket", "--by", "sam")
        looked_on = await agent.run(request(1300))
        assert "learned  close_ticket version 1 looked on" in await tenure("show", looked_on.id)
        assert "looked on" in (told := await tenure("learn", "show", "close_ticket")), told
        await tenure("learn", "rollback", "close_ticket", "--by", "sam", "--reason", "odd refunds")
        await rollout(system, "rolled_back")
        assert "rolled back, serves nobody: sam: odd refunds" in await tenure("learn", "show", "close_ticket")
        assert "is over (sam: odd refunds)" in await tenure("learn", "pause", "close_ticket", "--by", "sam", code=2)

        again = "tenure learn mine tickets --again close_ticket"
        assert again in " ".join((await tenure("learn", "mine", "tickets")).split())
        assert "version 2 is being tested" in " ".join((await tenure(*again.split()[1:])).split())
        await one_pending(system)
        denied = await tenure("learn", "deny", "close_ticket", "--version", "2", "--note", "the weeks are wrong")
        assert "deny by operator counts" in denied
        await rollout(system, "rejected")
        assert "denied by operator: the weeks are wrong" in await tenure("learn", "show", "close_ticket")
        assert [one["body"]["capability"] for one in rollouts(await tenure("learn", "--json"))] == ["close_ticket"]
    said.pop()  # a document is as wide as it is
    program = "    'Ticket ' + str(ticket_id)"  # stands as it is, to be copied
    lines = [line for output in said for line in output.splitlines() if "http" not in line and program not in line]
    wide = [line for line in lines if len(line) > 80 and not line.startswith("tenure: ")]
    assert wide == []


async def _shows(typed: Any, told: str) -> bool:
    return told in (await typed("learn", "show", "close_ticket")).output


def rollouts(document: str) -> list[dict[str, Any]]:
    return [one["rollout"] for one in json.loads(document)["capabilities"]]
