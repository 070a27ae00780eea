"""pydantic-ai on Temporal as a contestant: its `TemporalAgent`, its plugin, its Anthropic model, on the same tools."""

from __future__ import annotations

import asyncio
import os
import uuid
import warnings
from datetime import timedelta
from typing import Any

from pydantic_ai import Agent, UsageLimits
from pydantic_ai.durable_exec.temporal import AgentPlugin, PydanticAIPlugin, TemporalAgent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from bench import tools
from bench.contestant import compete

INSTRUCTIONS = "You are a customer support agent. Look the customer up before you act, and change as little as you can."

# The provider is given explicitly: found from the environment it would be built again inside the sandbox.
provider = AnthropicProvider(
    api_key=os.environ.get("ANTHROPIC_API_KEY", "any"), base_url=os.environ.get("ANTHROPIC_BASE_URL")
)
agent = Agent(
    AnthropicModel("claude-sonnet-5-5", provider=provider),
    instructions=INSTRUCTIONS,
    name="support",
    tools=list(tools.ALL),
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecated in favour of a capability, and still the one the issue names
    temporal_agent = TemporalAgent(agent)


@workflow.defn
class PydanticAiRun:
    """The agent's run as a workflow, as its documentation writes it."""

    @workflow.run
    async def run(self, message: str) -> str:
        """Run the agent."""
        return (await temporal_agent.run(message, usage_limits=UsageLimits(request_limit=None))).output


async def serve() -> None:
    """Compete until stdin closes."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], plugins=[PydanticAIPlugin()])
    async with Worker(
        client, task_queue="pydantic-ai", workflows=[PydanticAiRun], plugins=[AgentPlugin(temporal_agent)]
    ):

        async def once(message: str) -> tuple[str, str, list[Any]]:
            name = f"pydantic-ai-{uuid.uuid4().hex}"
            answer = await client.execute_workflow(
                PydanticAiRun.run, message, id=name, task_queue="pydantic-ai", task_timeout=timedelta(seconds=10)
            )
            return name, answer, []

        await compete(once)


def main() -> None:
    """Serve."""
    asyncio.run(serve())
