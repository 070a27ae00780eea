"""The smallest agent: one tool, which reads invented weather.

`python -m examples.weather` runs it: with ANTHROPIC_API_KEY it is Claude that answers, without one a script.
"""

from __future__ import annotations

import asyncio
import os

from tenure import Agent, ToolError, tool
from tenure.testing.scripted_claude import Script, tool_use

WEATHER = {"lisbon": "21 °C and sunny", "oslo": "4 °C and rain"}


@tool(effect="read")
async def get_weather(city: str) -> str:
    """Get today's weather in a city."""
    if city.lower() not in WEATHER:
        raise ToolError(f"no weather for {city!r}: there are {', '.join(WEATHER)}")
    return WEATHER[city.lower()]


weather = Agent(name="weather", instructions="Answer in one sentence.", tools=(get_weather,))

script: Script = [tool_use("get_weather", city="Lisbon"), "It is 21 °C and sunny in Lisbon."]


async def main() -> None:
    """Run the agent once with everything embedded."""
    from tenure.testing import embedded

    key = os.environ.get("ANTHROPIC_API_KEY")
    print("Claude answers:" if key else "No ANTHROPIC_API_KEY, so a script plays Claude:")
    async with embedded(weather, claude=None if key else script):
        print(await weather.run("What is the weather in Lisbon?"))


if __name__ == "__main__":
    asyncio.run(main())
