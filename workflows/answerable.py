"""Answerable: how answers reach a workflow that asks people, and is no run: by signal, by update; and what it asks, by query."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from temporalio import workflow

from tenure.approvals.request import Request, Verdict
from tenure.run import Asking
from tenure.workflows.ask import Desk

StateT = TypeVar("StateT", bound=Asking)


class Answerable(Generic[StateT]):
    """The handlers. Whoever inherits them has a desk, and asks one thing at a time."""

    _desk: Desk
    _state: StateT

    @workflow.signal(description="Answer the open request: one compact JWS, as `tenure approve --print` gives it")
    def answer(self, *sent: Any) -> None:  # Any: whatever somebody sends must not raise
        """An answer arrives; it is verified before it counts."""
        for token in sent:
            self._desk.drop(token)

    @workflow.update(name="answer", description="Answer the open request and hear what became of it")
    async def answer_and_wait(self, *sent: Any) -> Verdict:  # Any: as for the signal
        """The same answer as an update: returns the verdict on it."""
        return await self._desk.verdict_on(self._desk.drop(sent[0]))

    @answer_and_wait.validator
    def _is_asking(self, *sent: Any) -> None:  # Any: as for the signal
        if len(sent) != 1:
            raise ValueError("an answer is one compact JWS")
        if self._state.request is None:
            raise ValueError("nothing is asked here now")

    @workflow.query(description="What a person must decide before it goes on")
    def pending(self) -> list[Request]:
        """The open request, if there is one."""
        return [self._state.request] if self._state.request else []
