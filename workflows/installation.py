"""Installation: one workflow a namespace, whose only task is to hold the id of the store that belongs to it."""

from __future__ import annotations

from temporalio import workflow

WORKFLOW_ID = "tenure:installation"
MEMO = "tenure-store"


@workflow.defn(name="TenureInstallation")
class Installation:
    """Runs for as long as the installation lives. Terminate it to give the namespace another store."""

    @workflow.run
    async def run(self, store_id: str) -> None:
        """Wait for ever; the store's id stands in the memo, where it can be read without a worker."""
        workflow.set_current_details(f"This namespace belongs to the Tenure store `{store_id}`.")
        await workflow.wait_condition(lambda: False)
