"""PatternMiner: looks for patterns in the runs of an agent, by a schedule or by hand, and sets out what was learned."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from tenure.errors import TenureError
from tenure.learn.reading import Found, Mine, Mined, Write
from tenure.workflows import story
from tenure.workflows.call import HEARTBEAT, RETRY
from tenure.workflows.quick import quick

LOOK = timedelta(minutes=30)


@workflow.defn(name="PatternMiner", failure_exception_types=[TenureError, ValidationError])
class PatternMiner:
    """One look at the recordings of one agent."""

    @workflow.run
    async def run(self, ask: Mine) -> Mined:
        """What was found. Whatever is new has set out when this ends."""
        mined = await workflow.execute_activity(
            "mine",
            ask,
            result_type=Mined,
            start_to_close_timeout=LOOK,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary=f"patterns in the runs of {ask.agent}",
        )
        for one in mined.found:
            if one.what == "new":
                await quick("start_rollout", one)
        mined = Mined(found=[await _written(one) if one.family else one for one in mined.found], read=mined.read)
        workflow.set_current_details(_details(mined))
        return mined


async def _written(one: Found) -> Found:
    """What Claude writes where nothing was induced; one that will not do keeps no other from being learned."""
    try:
        found = await workflow.execute_activity(
            "write_capability",
            Write(tenant=one.tenant, agent=one.agent, family=one.family, why=one.why, runs=one.runs),
            result_type=Found,
            start_to_close_timeout=LOOK,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RETRY,
            summary=f"Claude writes a program for {one.family}",
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return one.model_copy(update={"why": f"{one.why}; Claude wrote no program: {error.cause}"})
    if found.what == "new":
        await quick("start_rollout", found)
    return found


def _details(mined: Mined) -> str:
    rows = [f"| {one.capability} | {one.tenant} | {one.runs} | {_word(one)} |" for one in mined.found[:20]]
    head = f"{mined.read} verified runs were looked at"
    return (
        "\n".join([head, "", "| pattern | tenant | runs | |", "|---|---|---|---|", *rows])
        .encode()[: story.DETAILS_LIMIT]
        .decode(errors="ignore")
    )


def _word(one: Found) -> str:
    return f"{one.what}, version {one.version}" if one.version else story.one_line(f"{one.what}: {one.why}", 120)
