"""What `doctor` looks at: one function a check, from values it is handed to what it found.

Rules of this file: nothing is created or changed; what cannot be asked because something below it is away is a warning, so
that what is to be mended first stands out. Time is bounded by the caller, and errors of the world are named by it.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlsplit

from tenure.errors import AnswerRefused, ConfigError, StoreUnavailable, TemporalUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from temporalio.client import Client

    from tenure.approvals.approvers import Approver
    from tenure.runtime.settings import Settings
    from tenure.runtime.store import Connection, Store
    from tenure.runtime.store.approvers import Registered
    from tenure.spec import AgentSpec

T = TypeVar("T")
CONNECT_SECONDS = LOCK_SECONDS = 2.5  # less than a check may take, so that it can still say why
POLL_SECONDS = 70.0  # a living worker asks for work at least so often: one poll waits a minute
DEV = "`tenure dev --agents MODULE`"
SERVE = f"{DEV}, or `tenure worker --agents MODULE`"


class Found(NamedTuple):
    """What a check came to: `ok`, `warning` or `failed`; what was seen; and, unless ok, what to do."""

    status: str
    told: str
    fix: str = ""


class Announced(NamedTuple):
    """An agent under one fingerprint as workers announced it, last at `seen_at` (milliseconds)."""

    name: str
    fingerprint: str
    model: str
    seen_at: int
    fresh: bool

    def __str__(self) -> str:
        return f"{self.name}@{self.fingerprint[:8]}"


@dataclass
class Ground:
    """What is looked at, and what earlier checks found for later ones."""

    settings: Settings
    env: Mapping[str, str]
    loaded: list[AgentSpec] = field(default_factory=list["AgentSpec"])
    client: Client | None = None
    store: Store | None = None
    announced: list[Announced] = field(default_factory=list[Announced])
    threads: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor)

    async def aside(self, work: Callable[[], T]) -> T:
        """Run what blocks in a thread, which is left behind when it takes too long."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    def lacking(self, told: str, fix: str) -> Found:
        """What only a worker needs is not here: no harm where one serves already, with its own."""
        served = any(one.fresh for one in self.announced)
        return warning(f"{told} here; the worker that serves has its own", fix) if served else failed(told, fix)


def ok(told: str) -> Found:
    """It is in order."""
    return Found("ok", told)


def warning(told: str, fix: str) -> Found:
    """It works, or may work, or cannot be looked at."""
    return Found("warning", told, fix)


def failed(told: str, fix: str) -> Found:
    """It does not work."""
    return Found("failed", told, fix)


def _unasked(what: str) -> Found:
    return warning(f"not looked at: no {what}", f"mend {what} first")


async def _python(ground: Ground) -> Found:
    import tenure

    told = f"{platform.python_version()} at {sys.executable}, tenure {tenure.__version__}"
    return ok(told) if sys.version_info >= (3, 11) else failed(told, "install Python 3.11 or newer")


async def _home(ground: Ground) -> Found:
    from tenure.runtime import running

    home, live = ground.settings.home, running.read(ground.settings.home)
    state = f"`tenure {live.what}` runs in it, pid {live.pid}" if live else "nothing runs in it"
    return ok(f"{home}: {state if home.is_dir() else 'made on first use'}")


async def _temporal(ground: Ground) -> Found:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
    from temporalio.envconfig import ClientConfig
    from temporalio.service import RPCError, RPCStatusCode

    from tenure.runtime.temporal import connect

    try:
        client = await asyncio.wait_for(connect(), CONNECT_SECONDS)
    except (TemporalUnavailable, TimeoutError) as error:
        where = ClientConfig.load_client_connect_config().get("target_host", "localhost:7233")
        return failed(f"no server answers at {where}{_why(error)}", f"{DEV} starts one; or set TEMPORAL_ADDRESS")
    began = time.monotonic()
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    took = f"{(time.monotonic() - began) * 1000:.0f} ms"
    where = f"{client.service_client.config.target_host}, server {info.server_version}, {took}"
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        create = f"`temporal operator namespace create --namespace {client.namespace}`; or set TEMPORAL_NAMESPACE"
        return failed(f"{where}: no namespace {client.namespace!r}", create)
    ground.client = client
    return ok(f"{where}, namespace {client.namespace!r}")


def _why(error: BaseException) -> str:
    """What is beyond the ordinary, which is that nobody listens: a certificate, a key, a name that does not resolve."""
    if isinstance(error, TimeoutError):
        return f" within {CONNECT_SECONDS:g} s"
    why = " ".join(str(error.__cause__).split())
    return "" if "ConnectionRefused" in why else f": {why[:200]}"


async def _attributes(ground: Ground) -> Found:
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

    from tenure.runtime.temporal import ATTRIBUTES

    client = ground.client
    if client is None:
        return _unasked("temporal")
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    wanted = {key.name: key.indexed_value_type for key in ATTRIBUTES}
    missing = [name for name in wanted if name not in known.custom_attributes]
    wrong = [name for name, kind in wanted.items() if known.custom_attributes.get(name, kind) != kind]
    if wrong:
        return failed(f"of another type: {', '.join(wrong)}", "use a namespace of Tenure's own (TEMPORAL_NAMESPACE)")
    if not missing:
        return ok(f"all {len(wanted)} are registered")
    kinds = {name: IndexedValueType.Name(IndexedValueType.ValueType(kind)) for name, kind in wanted.items()}
    flags = " ".join(f"--name {name} --type {kinds[name].rpartition('_')[2].title()}" for name in missing)
    by_hand = f"temporal operator search-attribute create --namespace {client.namespace} {flags}"
    return failed(f"missing: {', '.join(missing)}", f"the first worker registers them; by hand: `{by_hand}`")


async def _store(ground: Ground) -> Found:
    from tenure.runtime.store import Store, shown
    from tenure.runtime.store.schema import VERSION

    url = ground.settings.database_url
    mode = "" if "mode=ro" in url else ("&" if "?" in url else "?") + "mode=ro"
    try:
        store = await ground.aside(lambda: Store.open(url + mode, create=False))  # only read: it must not be migrated
    except StoreUnavailable as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return failed(f"none at {shown(url)}", f"{DEV}, or a worker, makes it; or set TENURE_DATABASE_URL")
        return failed(str(error), "mend the way to it or its rights; or set TENURE_DATABASE_URL")
    ground.store, ground.announced = store, await store.read(_announced)
    told = f"{store.where}, schema {VERSION}, id {store.id}"
    if not mode:
        return warning(f"{told}: read only", "for a worker leave mode=ro out of TENURE_DATABASE_URL")
    try:
        await asyncio.wait_for(_write_nothing(ground, url), LOCK_SECONDS)
    except TimeoutError:
        return warning(f"{told}: locked for {LOCK_SECONDS:g} s", "see which process holds it, and why so long")
    return ok(told)


async def _write_nothing(ground: Ground, url: str) -> None:
    """Take the write lock and give it back. Raises StoreUnavailable when that cannot be done."""
    from tenure.runtime.store import Store

    store = await ground.aside(lambda: Store.open(url, create=False))
    try:
        await store.transact(lambda db: None)
    finally:
        ground.threads.submit(store.close)  # it waits for the store's thread, which may still wait for the lock


async def _installation(ground: Ground) -> Found:
    from temporalio.client import WorkflowExecutionStatus
    from temporalio.service import RPCError, RPCStatusCode

    from tenure.workflows.installation import MEMO, WORKFLOW_ID

    if ground.client is None:
        return _unasked("temporal")
    unclaimed = warning("no store has claimed this namespace yet", "the first worker does it")
    try:
        claim = await ground.client.get_workflow_handle(WORKFLOW_ID).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return unclaimed
    if claim.status is not WorkflowExecutionStatus.RUNNING:
        return unclaimed
    owner = await claim.memo_value(MEMO, "", type_hint=str)
    if ground.store is None:
        return warning(f"this namespace belongs to store {owner}", "set TENURE_DATABASE_URL to it")
    if ground.store.id == owner:
        return ok("this namespace belongs to this store")
    fix = f"point TENURE_DATABASE_URL at that one, or terminate workflow {WORKFLOW_ID!r} to give it up"
    return failed(f"this namespace belongs to another store, {owner}", fix)


async def _blobs(ground: Ground) -> Found:
    from tenure.runtime.blobs import Blobs

    root = Blobs(ground.settings.blob_url).root
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        await ground.aside(lambda: tempfile.TemporaryFile(dir=nearest).close())
    except OSError as error:
        return failed(f"cannot write to {nearest}: {error.strerror}", "make it writable; or set TENURE_BLOB_URL")
    return ok(f"{root}" if nearest == root else f"{root}, made on first use")


async def _worker(ground: Ground) -> Found:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    client, queue = ground.client, ground.settings.task_queue
    if client is None:
        return _unasked("temporal")
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    polled = (await client.workflow_service.describe_task_queue(request)).pollers
    alive = {one.identity for one in polled if time.time() - one.last_access_time.seconds < POLL_SECONDS}
    if not alive:
        return warning(f"nobody polls task queue {queue!r}", f"{SERVE}, with the same TENURE_TASK_QUEUE")
    return ok(f"task queue {queue!r} is polled by {', '.join(sorted(alive))}")


async def _agents(ground: Ground) -> Found:
    from tenure.cli import render, restricted
    from tenure.runtime.store import restrictions

    if ground.store is None:
        return _unasked("store")
    halted = [one for one in await ground.store.read(restrictions.in_force) if one.restriction.kind == "halt"]
    if halted:
        return warning("; ".join(map(restricted.line, halted)), restricted.resume(halted[0]))
    by_name: defaultdict[str, list[Announced]] = defaultdict(list)
    for one in ground.announced:
        by_name[one.name].append(one)
    fresh = [one for one in ground.announced if one.fresh]
    stale = [every[0] for every in by_name.values() if not any(one.fresh for one in every)]
    told = [str(one) for one in fresh] + [f"{one} (stale: last seen {render.ago(one.seen_at)})" for one in stale]
    if not fresh:
        return warning(f"no worker serves{': ' if told else ' any'}{', '.join(told)}", SERVE)
    several = [name for name, every in by_name.items() if sum(one.fresh for one in every) > 1]
    if several:
        fix = "runs take the newest: let the deployment finish, or stop the old worker"
        return warning(f"{', '.join(told)}: {', '.join(several)} under several fingerprints", fix)
    return warning(", ".join(told), "start the worker that serves the stale ones") if stale else ok(", ".join(told))


async def _approvers(ground: Ground) -> Found:
    from tenure.approvals.approvers import decode_key
    from tenure.runtime.store.approvers import every

    if not ground.settings.approver_root:
        return ground.lacking("no root key", "set TENURE_APPROVER_ROOT to the public key that vouches for approvers")
    root = decode_key(ground.settings.approver_root)
    if ground.store is None:
        return _unasked("store")
    rows = [row for row in await ground.store.read(every) if row.revoked_at is None]
    known = {row.principal: _vouched(row, root) for row in rows}
    gateways = [name for name, found in known.items() if found and found.gateway]
    people = [name for name, found in known.items() if found and not found.gateway]
    keyless = [name for name, found in known.items() if found and not found.key and not gateways]
    told = f"{len(people)} vouched for by the root key{': ' if people else ''}{', '.join(people)}"
    told += f"; gateway {', '.join(gateways)}" if gateways else ""
    if None in known.values():
        others = ", ".join(name for name, found in known.items() if found is None)
        return warning(f"{told}; not by it: {others}", "register them anew, or set the root key they have")
    if keyless:
        return warning(f"{told}; without a key: {', '.join(keyless)}", "register a gateway that signs for them")
    if len(people) < 2:
        return warning(told, "destructive calls want two people: register them")
    return ok(told)


async def _claude(ground: Ground) -> Found:
    key = ground.env.get("ANTHROPIC_API_KEY") or ground.env.get("ANTHROPIC_AUTH_TOKEN")
    url = ground.env.get("ANTHROPIC_BASE_URL")
    if not key and not url:
        return ground.lacking("no key", "set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a stand-in")
    where = urlsplit(url).netloc.rpartition("@")[2] if url else "api.anthropic.com"
    return ok(f"{_masked(key) if key else 'no key'}, at {where or url}")


def _masked(key: str) -> str:
    """Enough of a key to tell which it is; of a short one that would be too much."""
    shown = f"{'sk-' if key.startswith('sk-') else ''}…{key[-4:]}"
    return f"key {shown}" if len(key) >= 20 else f"a key of {len(key)} characters"


async def _prices(ground: Ground) -> Found:
    from tenure.runtime.prices import Prices
    from tenure.spec import DEFAULT_MODEL
    from tenure.turn import Usage

    models = {
        DEFAULT_MODEL,
        *(one.model for one in ground.announced if one.fresh),
        *(agent.model for agent in ground.loaded),
    }
    unknown, prices = list[str](), Prices.load(ground.settings.prices)
    for model in sorted(models):
        try:
            await ground.aside(lambda model=model: prices.cost_of(model, Usage()))
        except ConfigError:
            unknown.append(model)
    if unknown:
        told = "correct the name, `pip install -U genai-prices`, or write it in the file TENURE_PRICES"
        return failed(f"no price for {', '.join(unknown)}", told)
    return ok(f"known for {', '.join(sorted(models))}")


def _announced(db: Connection) -> list[Announced]:
    from tenure.runtime.store.agents import FRESH_MS, announced

    now = round(time.time() * 1000)
    return [
        Announced(
            row["name"],
            row["fingerprint"],
            json.loads(row["manifest"]).get("model", ""),
            row["seen_at"],
            row["seen_at"] > now - FRESH_MS,
        )
        for row in announced(db)
    ]


def _vouched(row: Registered, root: Ed25519PublicKey) -> Approver | None:
    from tenure.runtime.approving import standing

    try:
        return standing(row, root)
    except AnswerRefused:
        return None


CHECKS: dict[str, Callable[[Ground], Awaitable[Found]]] = {
    "python": _python,
    "home": _home,
    "temporal": _temporal,
    "attributes": _attributes,
    "store": _store,
    "installation": _installation,
    "blobs": _blobs,
    "worker": _worker,
    "agents": _agents,
    "approvers": _approvers,
    "claude": _claude,
    "prices": _prices,
}
