"""How a command finds its Tenure: by TEMPORAL_* and TENURE_*, else through the `tenure dev` that runs in this folder."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from tenure.errors import ConfigError, NotFound, TemporalUnavailable, TenureError
from tenure.runtime import running

if TYPE_CHECKING:
    from temporalio.service import RPCError

    from tenure.client import Tenure

T = TypeVar("T")


def perform(work: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine to its end."""
    with settings_found():
        return asyncio.run(work)


@asynccontextmanager
async def connected(*, server: bool = True) -> AsyncGenerator[Tenure]:
    """A Tenure to talk to. With `server=False` nothing is asked of Temporal before somebody asks it: the store will do.

    Raises what is wrong with the settings, TemporalUnavailable, NotFound.
    """
    from temporalio.service import RPCError

    system = await (_with_server() if server else _with_store())
    try:
        yield system
    except RPCError as error:
        raise _named(error) from error
    finally:
        system.close()


def who() -> str | None:
    """The user of this process, if it has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a passwd entry; which of the two depends on the Python
        return None


def link(system: Tenure, workflow: str) -> str:
    """Where a run is read in the Temporal UI."""
    return link_at(system.settings.ui_url, system.temporal.namespace, workflow)


def link_at(ui: str, namespace: str, workflow: str) -> str:
    """The same for a UI of which only the address is known."""
    return f"{ui}/namespaces/{namespace}/workflows/{quote(workflow, safe=':')}"


@contextmanager
def settings_found() -> Generator[None]:
    """The environment, completed for a while with where the local server is, if the user named none."""
    added = _local_settings()
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _local_settings() -> dict[str, str]:
    from tenure.runtime.settings import Settings

    if any(name in os.environ for name in ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE")):
        return {}
    found = running.read(Settings.load().home)
    if found is None:
        return {}
    return {"TEMPORAL_ADDRESS": found.address, "TENURE_UI_URL": os.environ.get("TENURE_UI_URL", found.ui)}


async def _with_server() -> Tenure:
    from tenure.client import Tenure

    return await Tenure.connect()


async def _with_store() -> Tenure:
    """Without a server the store still tells: a lazy client connects when it is first asked something."""
    from temporalio.client import Client
    from temporalio.envconfig import ClientConfig

    from tenure.client import Tenure
    from tenure.runtime.blobs import Blobs
    from tenure.runtime.settings import Settings
    from tenure.runtime.store import Store
    from tenure.runtime.temporal import CONVERTER

    settings = Settings.load()
    try:
        config = ClientConfig.load_client_connect_config()
    except Exception as error:  # envconfig raises bare RuntimeErrors for a bad TOML file or a missing profile
        raise ConfigError(f"the TEMPORAL_* settings cannot be read: {error}") from error
    config.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**config, data_converter=CONVERTER, lazy=True)
    if not settings.home.is_dir():
        return Tenure(client, settings)
    return Tenure(client, settings, Store.open(settings.database_url), Blobs(settings.blob_url))


def _named(error: RPCError) -> TenureError:
    from temporalio.service import RPCStatusCode

    if error.status is RPCStatusCode.NOT_FOUND:
        return NotFound(
            f"Temporal knows no such run, or it is over already ({error.message}): `tenure runs` lists them"
        )
    return TemporalUnavailable(f"Temporal did not do it: {error.message}")
