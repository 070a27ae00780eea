"""Approval of tool calls: what a turn must ask about stands on one card, and what people say of it is kept until it is used.

Rules of this file: an approval counts for exactly the calls, the arguments and the terms that people were shown; an edited call is
another call, and is asked about anew.
"""

from __future__ import annotations

from tenure.approvals.request import Kind, Request, Settled
from tenure.run import Grant, OpenTurn, RunState, StopReason
from tenure.transcript import tool_calls
from tenure.trust.ruling import Ask
from tenure.trust.terms import ASKS_PER_RUN, Terms
from tenure.wire import JsonObject
from tenure.workflows import park
from tenure.workflows.ask import Desk, request_for
from tenure.workflows.call import Call, call_of, not_made, ruling_on
from tenure.workflows.carry import Stop
from tenure.workflows.gate import terms_of


async def seek(run: RunState, desk: Desk, turn: OpenTurn, call: Call) -> Stop | None:
    """Ask people about `call` and what else of the turn asks on the same terms; afterwards the gate knows what they said."""
    if call.digest in turn.denied:
        return await not_made(run, turn, call, turn.denied[call.digest])
    if run.asks >= ASKS_PER_RUN and turn.request is None:
        stop = await park.looked_at(run, desk, call.seq)
        if stop is not None:
            return stop
    terms = terms_of(run.agent.tools[call.tool], call.arguments)
    if not terms.via:
        return await not_made(run, turn, call, "denied: trust.approvals leave no way to approve it")
    card = _card(run, turn, call, terms)
    run.asks += turn.request is None
    settled = await desk.ask(turn, _request(run, turn, card, terms))
    return _settled(turn, card, terms, settled, run.standing.fence)


def _card(run: RunState, turn: OpenTurn, first: Call, terms: Terms) -> list[Call]:
    """The calls that one request is about: those after `first` join it if they ask for the same people on the same terms."""
    blocks, found = tool_calls(turn.content), [first]
    if first.doubt:
        return found  # in doubt, or edited: looked at on its own
    for index in range(first.index + 1, len(blocks)):
        if index in turn.problems or index in turn.rejected or blocks[index]["name"] not in run.agent.tools:
            continue
        call = call_of(run, turn, blocks[index], index)
        asks = isinstance(ruling_on(run, call), Ask) and not call.doubt and call.grant is None
        if asks and terms_of(run.agent.tools[call.tool], call.arguments) == terms:
            found.append(call)
    return found


def _request(run: RunState, turn: OpenTurn, card: list[Call], terms: Terms) -> Request:
    told = [_told(run, turn, call) for call in card]
    if len(told) == 1:
        why = told[0].pop("why")
        choices = ["approve", "deny", "edit"]
        return request_for(run, Kind.TOOL_CALL, card[0].seq, told[0], why, terms, choices=choices)
    for call, one in zip(card, told, strict=True):
        one["row"] = call.seq
    why = "; ".join(dict.fromkeys(one["why"] for one in told))
    return request_for(run, Kind.TOOL_CALL, card[0].seq, {"calls": told}, why, terms)


def _told(run: RunState, turn: OpenTurn, call: Call) -> JsonObject:
    """What people are shown of a call."""
    ruling = ruling_on(run, call)
    told: JsonObject = {
        "tool": call.tool,
        "arguments": call.arguments,
        "effect": str(run.agent.tools[call.tool].effect),
        "why": ruling.reason if isinstance(ruling, Ask) else "",
    }
    if call.index in turn.modified or call.index in turn.edited:
        told["asked"] = tool_calls(turn.content)[call.index]["input"]  # people see that somebody changed the call
    return told


def _settled(turn: OpenTurn, card: list[Call], terms: Terms, settled: Settled, fence: int) -> Stop | None:
    match settled.choice:
        case "approve":
            turn.grants |= {call.digest: Grant(request=settled.request, fence=fence) for call in card}
            return None
        case "edit" if settled.edit is not None:
            turn.edited[card[0].index] = settled.edit
            return None
        case "expired" if terms.on_timeout == "halt":
            tools = ", ".join(call.tool for call in card)
            return Stop(StopReason.DENIED, f"nobody approved {tools} in time: the run halts")
        case _:
            told = settled.refusal if settled.principal else f"denied: {settled.refusal}"
            turn.denied |= {call.digest: told for call in card}
            return None
