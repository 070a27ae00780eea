"""Temporal: the connection, the converter both sides share, search attributes, and the embedded server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import PydanticPayloadConverter, ToJsonOptions
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from tenure.errors import ConfigError, TemporalUnavailable

AGENT = SearchAttributeKey.for_keyword("TenureAgent")
TENANT = SearchAttributeKey.for_keyword("TenureTenant")
STATUS = SearchAttributeKey.for_keyword("TenureStatus")
STOP_REASON = SearchAttributeKey.for_keyword("TenureStopReason")
TIER = SearchAttributeKey.for_keyword("TenureTier")
FINGERPRINT = SearchAttributeKey.for_keyword("TenureFingerprint")
PENDING = SearchAttributeKey.for_int("TenurePending")
COST = SearchAttributeKey.for_float("TenureCostUsd")
WORKFLOW_TASK = timedelta(seconds=6)  # a killed worker holds a workflow task at most this long
ATTRIBUTES = (AGENT, TENANT, STATUS, STOP_REASON, TIER, FINGERPRINT, PENDING, COST)


class _Converter(PydanticPayloadConverter):
    """Pydantic JSON without the fields nobody set: history holds what was said, not what the class would default to."""

    def __init__(self) -> None:
        super().__init__(ToJsonOptions(exclude_unset=True))


CONVERTER = DataConverter(payload_converter_class=_Converter)

# One shard polls its queues at most 20 times a second unless told otherwise: 4 times slower than the machine allows.
FAST_FLAGS = tuple(
    flag
    for queue in ("transfer", "timer", "visibility")
    for flag in ("--dynamic-config-value", f"history.{queue}ProcessorMaxPollRPS=2000")
)
# Tenants take turns: each run's tenant is its fairness key, which a server heeds only when it is told to, and only within one
# partition of a queue.
FAIR = ("useNewMatcher=true", "enableFairness=true", "numTaskqueueReadPartitions=1", "numTaskqueueWritePartitions=1")
FAIR_FLAGS = tuple(flag for setting in FAIR for flag in ("--dynamic-config-value", f"matching.{setting}"))
QUIET = ("--output", "none")  # no greeting on our standard output
FILE_FLAGS = ("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=1")


async def connect(local: str | None = None) -> Client:
    """A client by the TEMPORAL_* settings (temporalio.envconfig), else at `local`. Raises TemporalUnavailable, ConfigError."""
    try:
        config = ClientConfig.load_client_connect_config()
    except Exception as error:  # envconfig raises bare RuntimeErrors for a bad TOML file or a missing profile
        raise ConfigError(f"the TEMPORAL_* settings cannot be read: {error}") from error
    config.setdefault("target_host", local or "localhost:7233")
    try:
        return await Client.connect(**config, data_converter=CONVERTER)
    except (RuntimeError, RPCError) as error:
        raise TemporalUnavailable(
            f"no Temporal server at {config.get('target_host')}: start one with `tenure dev`, or set TEMPORAL_ADDRESS"
        ) from error


async def start_server(
    *,
    database: Path | None = None,
    port: int | None = None,
    ui_port: int | None = None,
    log_level: str = "error",
    flags: Sequence[str] = (),
) -> WorkflowEnvironment:
    """An embedded Temporal server on loopback, with its UI when `ui_port` is given; it ends with `shutdown()`."""
    return await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType]  # search attribute keys of several value types
        data_converter=CONVERTER,
        port=port,
        ui=ui_port is not None,
        ui_port=ui_port,
        dev_server_existing_path=binary(),
        dev_server_database_filename=None if database is None else str(database),
        dev_server_extra_args=[*FAST_FLAGS, *FAIR_FLAGS, *QUIET, *(FILE_FLAGS if database else ()), *flags],
        dev_server_log_level=log_level,
        dev_server_startup_timeout=timedelta(seconds=30),
        search_attributes=ATTRIBUTES,
    )


async def register_attributes(client: Client) -> None:
    """Register Tenure's search attributes where they are missing: an unregistered one would retry a task for ever."""
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest

    service = client.operator_service
    known = await service.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
    missing = {key.name: key.indexed_value_type for key in ATTRIBUTES if key.name not in known.custom_attributes}
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace)
        request.search_attributes.update({name: _indexed(kind) for name, kind in missing.items()})
        await service.add_search_attributes(request)


def _indexed(kind: int) -> IndexedValueType.ValueType:
    return IndexedValueType.ValueType(kind)


async def start_skipping_server() -> WorkflowEnvironment:
    """A server whose clock stands still for timers until `fast_forward(handle, duration)` moves it; for tests of time-outs."""
    return await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        data_converter=CONVERTER,
        dev_server_existing_path=binary(),
        dev_server_extra_args=[
            *FAST_FLAGS,
            *QUIET,
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
        ],
        dev_server_log_level="error",
        search_attributes=ATTRIBUTES,
    )


def binary() -> str | None:
    """Where `temporal` is: beside the running interpreter, where pip puts it, or on the PATH; None lets the SDK fetch it."""
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    return shutil.which("temporal", path=os.pathsep.join(places))
