"""The composition root: the one place where settings, clients, workflows and activities meet.

`python worker.py --agents MODULE[:ATTR] ...` serves agents until SIGTERM or Ctrl-C; see `--help`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import json
import os
import pkgutil
import secrets
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxRestrictions

import tenure.workflows
from tenure.activities.act import Acting
from tenure.activities.auditing import Auditing
from tenure.activities.decide import Deciding
from tenure.activities.ledger import Ledgering
from tenure.activities.mining import Mining
from tenure.activities.observe import Observing
from tenure.activities.raising import Raising
from tenure.activities.reckoning import Reckoning
from tenure.activities.record import Recording
from tenure.activities.resources import Resources, now
from tenure.activities.respond import Responding
from tenure.activities.rollout import Rolling
from tenure.activities.standing import Watching
from tenure.activities.verify import Verifying
from tenure.activities.writing import Drafting
from tenure.approvals.approvers import decode_key
from tenure.errors import ConfigError, StoreMismatch, StoreUnavailable, TenureError
from tenure.runtime import embeddings, judging, notify, schedules, upkeep
from tenure.runtime.approving import check_registry
from tenure.runtime.blobs import Blobs
from tenure.runtime.cautions import cautions_for
from tenure.runtime.claude import Claude
from tenure.runtime.leaving import leave
from tenure.runtime.prices import Prices
from tenure.runtime.registry import Registry, load
from tenure.runtime.sandbox import Runner
from tenure.runtime.settings import Settings
from tenure.runtime.store import Connection, Store, agents, capabilities, outcomes, shown
from tenure.runtime.temporal import CONVERTER, connect, register_attributes
from tenure.runtime.webhook import Webhook
from tenure.spec import AgentSpec
from tenure.turn import Usage
from tenure.workflows.agent_run import AgentRun
from tenure.workflows.capability_rollout import CapabilityRollout, UpgradingRollout
from tenure.workflows.installation import MEMO, WORKFLOW_ID, Installation
from tenure.workflows.pattern_miner import PatternMiner
from tenure.workflows.trust_ledger import TrustLedger, UpgradingLedger

ANNOUNCE_SECONDS = 10.0
BEAT = timedelta(seconds=1)
STICKY = timedelta(seconds=2)  # a killed worker's own queue is waited for this long
WORKFLOW_TASKS = 16  # replayed at once: after a restart hundreds of them would only time each other out
DEPLOYMENT = "tenure"
WORKFLOWS: Sequence[type] = (AgentRun, Installation, TrustLedger, PatternMiner, CapabilityRollout)
PINNED: Sequence[type] = (AgentRun, Installation, UpgradingLedger, PatternMiner, UpgradingRollout)
# What workflow code may import without a copy of its own in the sandbox: values and pure functions, no workflow.
THIRD_PARTY = (
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "rfc8785",
    "jwt",
    "cryptography",
    "opentelemetry",
    "docstring_parser",
)


@asynccontextmanager
async def serving(
    client: Client,
    settings: Settings,
    served: Iterable[AgentSpec],
    env: Mapping[str, str],
    *,
    strict_sandbox: bool = False,
) -> AsyncGenerator[Resources]:
    """Serve agents while the block runs. Raises what is wrong with the settings before anything is served.

    `strict_sandbox` gives the policy code its own copy in the sandbox as well, so that a clock or a random number in it
    fails by name; tests use it, and it costs four times the CPU per run.
    """
    to, worker = _resources(settings, served, env), f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        await to.store.read(lambda db: check_registry(db, to.root, to.registry.agents.values()))
        await register_attributes(client)
        await _claim(client, settings, to.store)
        await _announce(to, worker, settings.task_queue)
        for agent in to.registry.agents.values():
            if agent.records:
                await schedules.keep_mining(client, agent.name, settings.task_queue)
        announcing = asyncio.create_task(_keep_announcing(to, worker, client, settings.task_queue))
        try:
            async with (
                upkeep.kept(to.store, to.registry.agents, to.webhook),
                _worker(client, settings, to, strict_sandbox),
            ):
                gc.collect()
                gc.freeze()  # the SDKs' hundred thousand objects stay for good: no need to walk them in every run
                if settings.build_id:
                    await _make_current(client, settings.build_id)
                yield to
        finally:
            gc.unfreeze()
            announcing.cancel()
            await to.store.transact(lambda db: agents.withdraw(db, worker))
    finally:
        await to.claude.close()
        await to.sandbox.close()
        to.store.close()


def _resources(settings: Settings, served: Iterable[AgentSpec], env: Mapping[str, str]) -> Resources:
    registry, prices = Registry(served), Prices.load(settings.prices)
    for agent in registry.agents.values():
        for model in agent.models:
            prices.cost_of(model, Usage())  # a model without a price fails here, not in the middle of a run
        _check_likeness(agent, settings.similarity_floor)
        if agent.optimization and agent.optimization.vectors == "embeddings":
            embeddings.load()  # what is not installed is told now, and no request waits for 90 MB
    if not settings.approver_root:
        raise ConfigError(
            "no approver root: set TENURE_APPROVER_ROOT to the public key that vouches for approvers, or run `tenure dev` once"
        )
    webhook, claude = Webhook.of(settings.alert_webhook, settings.alert_secret), Claude(env)
    claude.open()
    return Resources(
        store=Store.open(settings.database_url),
        blobs=Blobs(settings.blob_url),
        claude=claude,
        registry=registry,
        root=decode_key(settings.approver_root),
        patience=settings.patience,
        notifiers=tuple(notify.load(settings.notify)),
        prices=prices,
        webhook=webhook,
    )


def _check_likeness(agent: AgentSpec, floor: float) -> None:
    """Raise ConfigError for a rule of a cache that is content with less likeness than the operator is."""
    for rule in agent.optimization.rules if agent.optimization else ():
        if rule.similarity is not None and rule.similarity < floor:
            told = f"TENURE_SIMILARITY_FLOOR={floor:g} wants more: raise it in the rule, or lower the floor"
            raise ConfigError(f"{agent.name}: cache_rules.similarity={rule.similarity:g}: {told}")


def _worker(client: Client, settings: Settings, to: Resources, strict_sandbox: bool) -> Worker:
    observing, deciding, acting = Observing(to), Deciding(to), Acting(to)
    recording, responding, verifying = Recording(to), Responding(to), Verifying(to)
    watching, ledgering, rolling, mining = Watching(to), Ledgering(to), Rolling(to), Mining(to)
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=PINNED if settings.build_id else WORKFLOWS,
        activities=[
            observing.observe, deciding.decide, acting.act, recording.record, recording.note,
            responding.respond, responding.evaluate,
            verifying.open_request, verifying.verify, verifying.remind, verifying.close_request, watching.standing,
            ledgering.read_outcomes, ledgering.keep_ledger, Raising(to).raise_budget, Reckoning(to).still_short,
            Auditing(to).audit,
            mining.mine, mining.start_rollout, Drafting(to).write_capability,
            rolling.test_capability, rolling.read_trials, rolling.keep_rollout,
        ],
        workflow_runner=Runner(_restrictions(strict_sandbox)),
        workflow_failure_exception_types=[TenureError, ValidationError],
        max_heartbeat_throttle_interval=BEAT,
        default_heartbeat_throttle_interval=BEAT,
        sticky_queue_schedule_to_start_timeout=STICKY,
        max_concurrent_workflow_tasks=WORKFLOW_TASKS,
        graceful_shutdown_timeout=timedelta(seconds=2),
        deployment_config=_deployment(settings.build_id),
    )  # fmt: skip


def replayer() -> Replayer:
    """What replays histories under the same settings as a worker: the test of every released run shape."""
    return Replayer(
        workflows=WORKFLOWS,
        workflow_runner=Runner(_restrictions(strict=False)),
        workflow_failure_exception_types=[TenureError, ValidationError],
        data_converter=CONVERTER,
    )


def _restrictions(strict: bool) -> SandboxRestrictions:
    """What a run's sandbox shares with the worker. Strict: libraries only, so that all of our code is held to the rules.

    Otherwise our modules are shared as well, one by one, all but those that define workflows: naming `tenure` itself would
    share those too. Executing ours anew for every run would double what the workflow side costs.
    """
    ours = () if strict else (name for name in _modules() if name not in {one.__module__ for one in WORKFLOWS})
    return SandboxRestrictions.default.with_passthrough_modules(*THIRD_PARTY, *ours)


def _modules() -> list[str]:
    """`tenure.run`, ... and each module of `tenure.workflows`, whose package must not be named as a whole."""
    top = [f"tenure.{module.name}" for module in pkgutil.iter_modules(tenure.__path__) if module.name != "workflows"]
    inner = [f"tenure.workflows.{module.name}" for module in pkgutil.iter_modules(tenure.workflows.__path__)]
    return top + inner


def _deployment(build_id: str | None) -> WorkerDeploymentConfig | None:
    if build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


async def _make_current(client: Client, build_id: str) -> None:
    """New runs, and old ones at their next turn, go to this build. The server learns of a version from its first poll."""
    from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest

    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build_id, ignore_missing_task_queues=True
    )
    for attempt in range(50):
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
            return
        except RPCError:
            if attempt == 49:
                raise
            await asyncio.sleep(0.2)


async def _claim(client: Client, settings: Settings, store: Store) -> None:
    """Bind this namespace to this store, once; refuse any other. Raises StoreMismatch."""
    try:
        await client.start_workflow(
            "TenureInstallation",
            store.id,
            id=WORKFLOW_ID,
            task_queue=settings.task_queue,
            memo={MEMO: store.id},
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary="which store this namespace belongs to",
        )
    except WorkflowAlreadyStartedError:
        claimed = await (await client.get_workflow_handle(WORKFLOW_ID).describe()).memo_value(MEMO, "", type_hint=str)
        if claimed != store.id:
            raise StoreMismatch(
                f"the store {store.where} ({store.id}) is not the one this Temporal namespace belongs to ({claimed}): "
                f"point TENURE_DATABASE_URL at that one, or terminate workflow {WORKFLOW_ID!r} to give it up"
            ) from None


async def _announce(to: Resources, worker: str, task_queue: str) -> None:
    served = [
        (
            a.name,
            a.fingerprint,
            worker,
            json.dumps(a.manifest),
            a.policy.model_dump_json() if a.policy else "",
            task_queue,
        )
        for a in to.registry.agents.values()
    ]
    await to.store.transact(lambda db: [agents.announce(db, *row, now()) for row in served])


async def _listen(to: Resources, client: Client) -> None:
    """Tell the ledgers that have something to read and may not have heard of it; of several workers one does."""
    trusted = [agent.name for agent in to.registry.agents.values() if agent.policy]
    at = now()

    def take(db: Connection) -> list[tuple[tuple[str, str], str]]:
        late = outcomes.unread(db, trusted, at - 2 * outcomes.EVERY_MS)
        return [(who, told) for who in late if (told := judging.due(db, who, at))]

    for who, told in await to.store.transact(take) if trusted else []:
        await judging.nudge(to.store, client, told, who, late=True)
    learning = {agent.name: agent.fingerprint for agent in to.registry.agents.values() if agent.learns}
    for row in await to.store.transact(lambda db: capabilities.take_due(db, learning, at)) if learning else []:
        await schedules.nudge(client, to.store, row)


async def _keep_announcing(to: Resources, worker: str, client: Client, task_queue: str) -> None:
    while True:
        await asyncio.sleep(ANNOUNCE_SECONDS)
        try:
            await _announce(to, worker, task_queue)
            await _listen(to, client)
        except StoreUnavailable as error:
            _say(f"cannot announce: {error}")


async def _main(arguments: argparse.Namespace) -> None:
    # Settings first: what a user mistyped is said before a connection is tried.
    served = [agent for reference in arguments.agents for agent in load(reference)]
    settings = Settings.load()
    if arguments.task_queue:
        settings = dataclasses.replace(settings, task_queue=arguments.task_queue)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    client = await connect()
    async with serving(client, settings, served, os.environ):
        for agent in served:
            _say(f"serving {agent.name}@{agent.fingerprint[:8]} ({agent.model}, {len(agent.tools)} tools)")
            for caution in cautions_for(agent):
                _say(f"  {caution}")
        _say(f"ready on task queue {settings.task_queue!r}, store {shown(settings.database_url)}")
        await stopped.wait()
        _say("stopping: running tools have 2 s to finish, everything else goes on elsewhere")


def _say(line: str) -> None:
    sys.stderr.write(f"tenure worker: {line}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve agents; returns the exit code. What a user can mend is said in one line, without a traceback."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Serve agents to Temporal until SIGTERM or Ctrl-C.")
    parser.add_argument(
        "--agents", nargs="+", required=True, metavar="MODULE[:ATTR]", help="modules or files with Agents"
    )
    parser.add_argument("--task-queue", help="Temporal task queue (default: TENURE_TASK_QUEUE or 'tenure')")
    try:
        asyncio.run(_main(parser.parse_args(arguments)))
    except TenureError as error:
        _say(f"{type(error).__name__}: {error}")
        return 2
    except RPCError as error:
        _say(f"TemporalUnavailable: Temporal went away while the worker started or stopped: {error.message}")
        return 2
    return 0


if __name__ == "__main__":
    leave(main())
