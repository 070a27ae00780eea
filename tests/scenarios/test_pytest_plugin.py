"""The pytest plugin as users have it: their tests, in a pytest of their own, on a real server."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.waiting import eventually

pytest_plugins = ["pytester"]

INI = "[pytest]\nfilterwarnings = error\n"
AGENT = '''
import asyncio
from pathlib import Path

import pytest

from tenure import Agent, tool
from tenure.testing.scripted_claude import text, tool_use


@tool(effect="destructive")
async def delete_account(account: str) -> str:
    """Delete an account."""
    return f"{account} deleted"


clerk = Agent(name="clerk", tools=[delete_account])
script = [tool_use("delete_account", account="a1"), text("It is gone.")]


def host(system):
    return system.temporal.service_client.config.target_host


def note(system):
    with Path("servers").open("a") as out:
        out.write(host(system) + "\\n")
'''
SYNC = """
@pytest.fixture(scope="module")
def standing(embedded_tenure):
    with embedded_tenure(clerk, claude="Still here.") as system:
        yield system


def test_a_fixture_of_a_module_holds_one_open_around_those_of_its_tests(standing):
    assert clerk.run_sync("Hello.").message == "Still here."


def test_a_sync_test_runs_an_agent_and_approves_what_it_asks(embedded_tenure):
    with embedded_tenure(clerk, claude=script) as system:
        handle = asyncio.run(clerk.start("Delete a1."))

        async def answered():
            while not await system.approvals.pending():
                await asyncio.sleep(0.01)
            await system.approve(handle.id)
            return await handle.result()

        response = asyncio.run(answered())
    assert response.success
    assert response.message == "It is gone."


def test_blocks_share_a_server_and_nothing_else(embedded_tenure):
    seen = []
    for claude in ("one", "two"):
        with embedded_tenure(clerk, claude=claude) as system:
            response = clerk.run_sync("Hello.", idempotency_key="the same")
            runs = asyncio.run(system.runs.list())
        seen.append((host(system), system.temporal.namespace, system.settings.home, response.message, len(runs)))
    (host_1, namespace_1, home_1, *first), (host_2, namespace_2, home_2, *second) = seen
    assert host_1 == host_2
    assert namespace_1 != namespace_2
    assert home_1 != home_2
    assert (first, second) == (["one", 1], ["two", 1])


def test_a_stand_in_is_stopped_when_its_test_ends(scripted_claude, embedded_tenure, request):
    claude = scripted_claude("Hi.", latency=0.01)
    with embedded_tenure(clerk, claude=claude) as system:
        assert clerk.run_sync("Hello.").message == "Hi."
    assert system.claude is claude
    assert claude.running
    assert len(claude.requests) == 1
    request.config.claude = claude


def test_it_has_stopped(request):
    assert not request.config.claude.running


def test_workflows_are_not_rewritten_or_each_run_would_import_pytest():
    from tenure.workflows import agent_run

    assert "@pytest_ar" not in vars(agent_run)
    assert "@pytest_ar" in globals()


def test_the_one_around_it_is_as_it_was(standing):
    assert clerk.run_sync("Hello.").message == "Still here."
    assert len(asyncio.run(standing.runs.list())) == 2


def test_what_keeps_a_block_from_opening_is_raised(embedded_tenure):
    with pytest.raises(Exception, match="two agents are named 'clerk'"):
        with embedded_tenure(clerk, clerk, claude=script):
            pass
"""
ASYNC = """
@pytest.fixture{scope}
async def system(embedded_tenure):
    async with embedded_tenure(clerk, claude="From a fixture.") as system:
        yield system


{mark}
async def test_an_async_test_runs_an_agent(embedded_tenure):
    async with embedded_tenure(clerk, claude="Hi.") as system:
        note(system)
        assert (await clerk.run("Hello.")).message == "Hi."


{mark}
async def test_a_block_is_refused_that_would_stop_the_loop(embedded_tenure):
    with pytest.raises(Exception, match="write `async with`"):
        with embedded_tenure(clerk, claude="Hi."):
            pass


{mark}
async def test_an_async_fixture_holds_one_open(system):
    assert (await clerk.run("Hello.", client=system)).message == "From a fixture."


{mark}
async def test_another_test_has_another_one(system):
    assert await system.runs.list() == []
"""


def asynchronous(*, mark: str = "", fixture: str = "") -> str:
    return ASYNC.format(mark=mark, scope="").replace("@pytest.fixture\n", f"@{fixture or 'pytest.fixture'}\n")


MODES = {
    "without pytest-asyncio": (("-p", "no:asyncio"), ""),
    "strict": (
        ("--asyncio-mode=strict", "-o", "asyncio_default_fixture_loop_scope=function"),
        "import pytest_asyncio\n" + asynchronous(mark="@pytest.mark.asyncio", fixture="pytest_asyncio.fixture"),
    ),
    "auto, one loop a session": (
        ("--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=session"),
        asynchronous(mark='@pytest.mark.asyncio(loop_scope="session")'),
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_sync_and_async_tests_run_on_one_server_without_a_warning(pytester: pytest.Pytester, mode: str) -> None:
    options, more = MODES[mode]
    pytester.makeini(INI)
    pytester.makepyfile(AGENT + SYNC + more)
    told = pytester.runpytest_subprocess("-p", "no:cacheprovider", *options, timeout=60)
    told.assert_outcomes(passed=12 if more else 8)
    told.stdout.no_fnmatch_line("*warnings summary*")
    told.stderr.no_fnmatch_line("*Warning*")


def test_each_process_of_xdist_has_a_server_of_its_own_and_stops_it(pytester: pytest.Pytester) -> None:
    one = "def test_one(embedded_tenure):\n    with embedded_tenure(clerk, claude='Hi.') as system:\n        note(system)\n"
    pytester.makepyfile(AGENT + one)
    told = pytester.runpytest_subprocess("-n", "2", "--dist", "each", timeout=60)
    told.assert_outcomes(passed=2)
    assert len(set(servers(pytester))) == 2
    assert not any(answers(address) for address in servers(pytester))


async def test_a_pytest_that_is_killed_leaves_no_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        AGENT
        + "def test_killed(embedded_tenure):\n"
        + "    with embedded_tenure(clerk, claude='Hi.') as system:\n"
        + "        note(system)\n"
        + "        import os, signal\n"
        + "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert pytester.runpytest_subprocess(timeout=60).ret == -9
    (address,) = servers(pytester)

    async def gone() -> bool:
        return not answers(address)

    await eventually(gone)


def test_a_server_that_has_grown_is_replaced_once_nobody_uses_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        AGENT
        + "from tenure.testing import pytest_plugin\n"
        + "pytest_plugin.NAMESPACES = 2\n"
        + "def test_blocks(embedded_tenure):\n"
        + "    with embedded_tenure(clerk, claude='Hi.') as outer:\n"
        + "        note(outer)\n"
        + "        for _ in range(2):\n"
        + "            with embedded_tenure(clerk, claude='Hi.') as system:\n"
        + "                note(system)\n"
        + "    with embedded_tenure(clerk, claude='Hi.') as system:\n"
        + "        note(system)\n"
    )
    pytester.runpytest_subprocess(timeout=60).assert_outcomes(passed=1)
    *used, fresh = servers(pytester)
    assert len(set(used)) == 1
    assert fresh not in used


def test_a_server_that_does_not_start_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        AGENT
        + "from tenure.testing import pytest_plugin\n"
        + "pytest_plugin.CODE = 'raise SystemExit(\"no temporal here\")'\n"
        + "def test_nothing(embedded_tenure):\n"
        + "    with embedded_tenure(clerk, claude='Hi.'):\n"
        + "        pass\n"
    )
    told = pytester.runpytest_subprocess(timeout=60)
    told.stdout.fnmatch_lines(["*TemporalUnavailable: the Temporal server * did not start: no temporal here"])


def test_a_session_that_uses_no_fixture_pays_milliseconds() -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); import tenure.testing.pytest_plugin;"
        "print([m for m in ('anthropic', 'asyncio', 'pydantic', 'temporalio') if m in set(sys.modules) - before])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def servers(pytester: pytest.Pytester) -> list[str]:
    """The addresses that the inner tests have noted."""
    return (pytester.path / "servers").read_text().split()


def answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as trial:
        return trial.connect_ex((host, int(port))) == 0
