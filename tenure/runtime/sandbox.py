"""The workflow sandbox without its dearest detour: asking it, payload by payload, whose payload that is."""

from __future__ import annotations

from typing import Any

from temporalio.api.enums.v1 import CommandType
from temporalio.converter import (
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

# Payloads that go to another workflow: only the instance knows to which.
FOREIGN = {
    CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION,
    CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION,
}


class Runner(SandboxedWorkflowRunner):
    """The SDK's sandbox, whose instances answer for their own payloads from outside.

    The SDK enters the sandbox and compiles a line of code for every payload to learn its serialisation context, which is
    a tenth of what a short run costs. Ours is the same for all payloads of a run, because a run has one key.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """An instance of the workflow in a sandbox of its own."""
        return _Instance(super().create_instance(det), det.info)


class _Instance(WorkflowInstance):
    """Delegates everything but the question above. Any: types the SDK keeps to itself."""

    def __init__(self, inner: WorkflowInstance, info: Info) -> None:
        self._inner = inner
        self._info = info
        self._context = WorkflowSerializationContext(namespace=info.namespace, workflow_id=info.workflow_id)
        target = StorageDriverWorkflowInfo(
            id=info.workflow_id, run_id=info.run_id, type=info.workflow_type, namespace=info.namespace
        )
        self._stored = StorageDriverStoreContext(target=target)

    def activate(self, act: Any) -> Any:
        return self._inner.activate(act)

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()

    def get_info(self) -> Info:
        return self._info

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        if command_info is not None and command_info.command_type in FOREIGN:
            return self._inner.get_serialization_context(command_info)
        return self._context

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        return self._stored
