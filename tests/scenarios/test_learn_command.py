"""`tenure learn`: what an operator reads of what was learned, at 80 columns, and what they type."""

from __future__ import annotations

from tenure.testing import embedded
from tests.tickets import SOON, claude, closed, desk, request, rollout, tidied
from tests.typing_commands import at
from tests.waiting import one_pending

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
            "what      deploy close_ticket version 1: it then looks on at the runs",
            "changes   close_ticket",
            "ticket / status is open",
            "“Please close ticket T-100",  # five of the six
            "tested    6 of 6 runs that it was not learned from: the same changes",
            "close_ticket(duplicate_of=duplicate_of, ticket=ticket_id)",
            f"tenure approve {asked.id}",
            asked.payload["digest"],
        ):
            assert line in card, card
        assert "people are asked to deploy it: `tenure learn approve" in await tenure("learn")
        assert "approve by operator counts" in await tenure("learn", "approve", "close_ticket")
        await rollout(system, "shadow")

        assert "is not paused: it is shadow" in await tenure("learn", "resume", "close_ticket", code=2)
        await tenure("learn", "pause", "close_ticket", "--by", "sam", "--reason", "audit")
        assert "sam: audit" in await tenure("learn", "show", "close_ticket")
        await tenure("learn", "resume", "close_ticket", "--by", "sam")
        looked_on = await agent.run(request(1300))
        assert "learned  close_ticket version 1 looked on" in await tenure("show", looked_on.id)
        await tenure("learn", "rollback", "close_ticket", "--by", "sam", "--reason", "odd refunds")
        await rollout(system, "rolled_back")
        assert "rolled back, serves nobody: sam: odd refunds" in await tenure("learn", "show", "close_ticket")
        assert "is over (sam: odd refunds)" in await tenure("learn", "pause", "close_ticket", "--by", "sam", code=2)
    program = "    'Ticket ' + str(ticket_id)"  # stands as it is, to be copied
    lines = [line for output in said for line in output.splitlines() if "http" not in line and program not in line]
    wide = [line for line in lines if len(line) > 80 and not line.startswith("tenure: ")]
    assert wide == []
