"""openai-agents on Temporal as a contestant: its plugin and its tools as activities, with the same Anthropic calls.

Its own model is a thin adapter that sends the conversation to the stand-in through the Anthropic client, so that every
contestant pays for the same HTTP calls; what it adds beyond them is the framework's.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from agents import Agent, Model, ModelProvider, ModelResponse, RunConfig, Runner, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
from temporalio.openai_agents import workflow as durable
from temporalio.worker import Worker

from bench import tools
from bench.contestant import compete

INSTRUCTIONS = "You are a customer support agent. Look the customer up before you act, and change as little as you can."
MINUTE = timedelta(minutes=1)
ACTIVITIES = [activity.defn(function) for function in tools.ALL]


class StandIn(Model):
    """Sends the conversation to ANTHROPIC_BASE_URL and hands the answer back in OpenAI's items."""

    def __init__(self) -> None:
        from anthropic import AsyncAnthropic

        self._claude = AsyncAnthropic(max_retries=0)

    async def get_response(
        self, system_instructions: str | None, input: Any, model_settings: Any, tools: list[Any], *_: Any, **__: Any
    ) -> ModelResponse:
        """The next turn."""
        offered = [{"name": t.name, "description": t.description, "input_schema": t.params_json_schema} for t in tools]
        message = await self._claude.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=4096,
            system=system_instructions or INSTRUCTIONS,
            tools=offered,
            messages=_messages(input),
            timeout=65,
        )
        used = Usage(requests=1, input_tokens=message.usage.input_tokens, output_tokens=message.usage.output_tokens)
        return ModelResponse([_item(block) for block in message.content], used, message.id)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Not used by this work."""
        raise NotImplementedError


class Provider(ModelProvider):
    """Gives the one model."""

    def __init__(self) -> None:
        self._model = StandIn()

    def get_model(self, model_name: str | None) -> Model:
        """Whatever the name."""
        return self._model


def _messages(items: Any) -> list[Any]:
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    said: list[Any] = []
    for item in items:
        role, block = _block(item)
        if said and said[-1]["role"] == role:
            said[-1]["content"].append(block)
        else:
            said.append({"role": role, "content": [block]})
    return said


def _block(item: Any) -> tuple[str, dict[str, Any]]:
    match item.get("type"):
        case "function_call":
            use = {"type": "tool_use", "id": item["call_id"], "name": item["name"]}
            return "assistant", {**use, "input": json.loads(item["arguments"])}
        case "function_call_output":
            return "user", {"type": "tool_result", "tool_use_id": item["call_id"], "content": str(item["output"])}
        case _:
            content = item["content"]
            text = content if isinstance(content, str) else "".join(part["text"] for part in content)
            return item["role"], {"type": "text", "text": text}


def _item(block: Any) -> Any:
    if block.type == "tool_use":
        arguments = json.dumps(block.input)
        return ResponseFunctionToolCall(
            type="function_call", call_id=block.id, name=block.name, arguments=arguments, id=block.id
        )
    text = ResponseOutputText(type="output_text", text=block.text, annotations=[])
    return ResponseOutputMessage(type="message", id="message", role="assistant", status="completed", content=[text])


@workflow.defn
class OpenAiAgentsRun:
    """The agent's run as a workflow, as its documentation writes it."""

    @workflow.run
    async def run(self, message: str) -> str:
        """Run the agent."""
        offered = [durable.activity_as_tool(each, start_to_close_timeout=MINUTE) for each in ACTIVITIES]
        agent = Agent(name="support", instructions=INSTRUCTIONS, tools=offered)
        untraced = RunConfig(tracing_disabled=True)  # traces go to a host on the network
        return (await Runner.run(agent, input=message, max_turns=10_000, run_config=untraced)).final_output


async def serve() -> None:
    """Compete until stdin closes."""
    parameters = ModelActivityParameters(start_to_close_timeout=MINUTE)
    plugin = OpenAIAgentsPlugin(model_params=parameters, model_provider=Provider())
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], plugins=[plugin])
    async with Worker(client, task_queue="openai-agents", workflows=[OpenAiAgentsRun], activities=ACTIVITIES):

        async def once(message: str) -> tuple[str, str, list[Any]]:
            name = f"openai-agents-{uuid.uuid4().hex}"
            answer = await client.execute_workflow(OpenAiAgentsRun.run, message, id=name, task_queue="openai-agents")
            return name, answer, []

        await compete(once)


def main() -> None:
    """Serve."""
    asyncio.run(serve())
