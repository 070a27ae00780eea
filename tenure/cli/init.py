"""`init`: a folder with a small agent, its test, and the commands that run them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from tenure.errors import BadInput

# The agent is called `agent` in its module, whatever its name is: names like `3d-printer` or `class` are no Python names.
AGENT = '''\
"""{name}: keeps a list of tasks. Replace the tools and the instructions by your own."""

from tenure import Agent, ToolError, tool
from tenure.testing.scripted_claude import text, tool_use

TASKS = {{"t1": "open: send the October invoice"}}  # stands for the system your tools talk to


@tool(effect="read")
async def list_tasks() -> dict[str, str]:
    """List all tasks by id, each with its status."""
    return dict(TASKS)


@tool(effect="write", idempotent=True)
async def close_task(task_id: str) -> str:
    """Mark a task as done."""
    if task_id not in TASKS:
        raise ToolError(f"no task {{task_id!r}}: list_tasks has the ids")
    TASKS[task_id] = TASKS[task_id].replace("open:", "done:")
    return TASKS[task_id]


agent = Agent(name="{name}", instructions="You keep a list of tasks. Be brief.", tools=[list_tasks, close_task])
script = [  # what a stand-in says in Claude's place, in test_agent.py and wherever there is no key
    tool_use("list_tasks"),
    tool_use("close_task", task_id="t1"),
    text("The October invoice is sent: I closed t1."),
]
'''
TEST = '''\
"""The agent does its work: on a real Temporal server, with a stand-in that plays Claude by `script`."""

from agent import TASKS, agent, script


def test_the_agent_closes_a_task(embedded_tenure):
    with embedded_tenure(agent, claude=script):
        response = agent.run_sync("The October invoice is out.", user="alice")
    assert response.success, response.message
    assert [call["tool"] for call in response.tool_calls] == ["list_tasks", "close_task"]
    assert TASKS["t1"] == "done: send the October invoice"
'''
README = """\
# {name}: an agent on Tenure
- `pytest` tests it: no key, no server (needs `pip install pytest`)
- `tenure dev --agents agent.py` serves it: by its script, or by Claude after `export ANTHROPIC_API_KEY=sk-ant-...`
- `tenure run {name} "The October invoice is out."` in a second terminal, in this folder
- `tenure runs`, `tenure show RUN` tell what it did; `tenure doctor` tells what is missing
"""
FILES = {  # name → content and what it is
    "agent.py": (AGENT, "the agent, its two tools, and a script for its test"),
    "test_agent.py": (TEST, "runs it without a key or a server"),
    "pytest.ini": ("[pytest]\npythonpath = .\n", "so that the test finds the agent in any repository"),
    "README.md": (README, "the commands"),
    ".gitignore": (".tenure/\n__pycache__/\n.pytest_cache/\n", "runs and keys stay on this machine"),
}


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def init(name: str, as_json: bool) -> None:
    """Make a folder NAME with an agent and its test."""
    from tenure.cli import render

    folder = _checked(name)
    _write(folder, name)
    steps = _next(name)
    if as_json:
        render.document({"agent": name, "folder": str(folder.resolve()), "files": list(FILES), "next": steps})
        return
    click.echo(f"made {folder}/")
    render.put(render.console(), render.pairs((file, what) for file, (_, what) in FILES.items()))
    click.echo("next")
    for step in steps:
        click.echo(f"  {step}")


def _checked(name: str) -> Path:
    from tenure.spec import NAME

    if not NAME.fullmatch(name):
        raise BadInput(
            f"agent name {name!r}: must match {NAME.pattern} (it becomes part of workflow ids), such as 'my-agent'"
        )
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{name!r} is a file here: choose another name, or move it away")
    taken = [file for file in FILES if (folder / file).exists()]
    if taken:
        raise BadInput(f"{folder / taken[0]} exists and is not overwritten: choose another name, or move it away")
    return folder


def _write(folder: Path, name: str) -> None:
    try:
        folder.mkdir(exist_ok=True)
        for file, (content, _) in FILES.items():
            with (folder / file).open("x") as out:  # x: also what appeared since we looked is not overwritten
                out.write(content.format(name=name))
    except OSError as error:
        raise BadInput(f"cannot write {error.filename}: {error.strerror}; run it where you may write") from error


def _next(name: str) -> list[str]:
    install = "" if importlib.util.find_spec("pytest") else "pip install pytest && "
    return [f"cd {name} && {install}pytest", "tenure dev --agents agent.py"]
