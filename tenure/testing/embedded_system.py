"""A whole Tenure in one `async with`: Temporal, store, worker and, unless a real key is wanted, a scripted Claude."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.activities.resources import Resources, now
from tenure.approvals.request import Request, Verdict
from tenure.client.system import Tenure, current
from tenure.errors import AnswerRefused
from tenure.runtime import keys
from tenure.runtime.blobs import Blobs
from tenure.runtime.settings import Settings
from tenure.runtime.store import Store, approvals
from tenure.runtime.temporal import start_server
from tenure.spec import AgentSpec
from tenure.testing.scripted_claude import ScriptedClaude
from tenure.worker import serving

if TYPE_CHECKING:
    from temporalio.testing import WorkflowEnvironment


@dataclass(frozen=True, kw_only=True)
class Embedded(Tenure):
    """A Tenure that lives as long as its block. `claude` is the stand-in, if one answers."""

    resources: Resources
    claude: ScriptedClaude | None = None

    async def answer(self, request: Request | str, choice: str, *, by: str = "operator", note: str = "") -> Verdict:
        """Answer a request (or the open one of that run) as a local principal. Raises AnswerRefused when it does not count."""
        asked = request if isinstance(request, Request) else await self.approvals.find(request)
        token = self.approvals.sign(asked, choice, by, keys.load(self.settings.home / "keys", by), note)
        verdict = await self.approvals.send(asked, token)
        if verdict is None or not verdict.accepted:
            raise AnswerRefused(verdict.reason if verdict else "no worker looked at the answer in time")
        return verdict

    async def approve(self, request: Request | str, *, note: str = "") -> None:
        """Approve with as many local principals as the request still wants."""
        asked = request if isinstance(request, Request) else await self.approvals.find(request)
        given = await self.require_store().read(lambda db: approvals.approved_by(db, asked.id))
        others = [name for name in keys.LOCAL_PRINCIPALS if name not in given]
        for principal in others[: asked.quorum - len(given)]:
            await self.answer(asked, "approve", by=principal, note=note)


@asynccontextmanager
async def embedded(
    *agents: AgentSpec,
    claude: ScriptedClaude | Any | None = None,  # Any: every script that ScriptedClaude takes
    home: Path | None = None,
    server: WorkflowEnvironment | None = None,
    task_queue: str = "tenure",
    strict_sandbox: bool = False,
    **settings: Any,  # Any: the fields of Settings
) -> AsyncGenerator[Embedded]:
    """Start everything, serve `agents`, leave nothing behind.

    `claude` is a ScriptedClaude or a script for one; without it the environment's ANTHROPIC_API_KEY is used. `home` keeps
    the store for longer than the block; `server` shares a running Temporal. Inside the block `agent.run(...)` needs no client.
    """
    async with AsyncExitStack() as stack:
        env = dict(os.environ)
        if claude is not None:
            claude = claude if isinstance(claude, ScriptedClaude) else ScriptedClaude(claude)
            if not claude.running:  # one that runs already belongs to somebody else, who will stop it
                stack.enter_context(claude)
            env |= {"ANTHROPIC_BASE_URL": claude.base_url, "ANTHROPIC_API_KEY": "scripted"}
        folder = home or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-"))) / ".tenure"
        made = _settings(folder, env, task_queue, settings)
        if server is None:
            server = await start_server()
            stack.push_async_callback(server.shutdown)
        store = Store.open(made.database_url)
        stack.callback(store.close)
        # First of all: an agent that asks is not served before somebody could answer.
        await store.transact(lambda db: keys.register_local(db, folder / "keys", now()))
        to = await stack.enter_async_context(serving(server.client, made, agents, env, strict_sandbox=strict_sandbox))
        system = Embedded(server.client, made, store, Blobs(made.blob_url), resources=to, claude=claude)
        token = current.set(system)
        stack.callback(current.reset, token)
        yield system


def _settings(folder: Path, env: dict[str, str], task_queue: str, more: dict[str, Any]) -> Settings:
    root = keys.make_local(folder / "keys")
    own = {name: value for name, value in env.items() if not name.startswith("TENURE_")}
    return replace(Settings.at(folder, own), task_queue=task_queue, approver_root=root, **more)
