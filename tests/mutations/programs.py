"""The checks of learned programs: what the sandbox lets in and out, and what is refused by reading."""

from __future__ import annotations

from tests.mutations.mutant import Mutant

MONTY, VALUES, CHECK = "tenure/runtime/monty.py", "tenure/runtime/monty_values.py", "tenure/runtime/monty_check.py"
SUBSET, STUBS = "tenure/learn/subset.py", "tenure/learn/stubs.py"
RUNS, READ, STUBBED = (
    ("tests/unit/test_monty.py",),
    ("tests/unit/test_program_check.py",),
    ("tests/unit/test_stubs.py",),
)
HOSTILE = ("tests/unit/test_hostile.py",)


def monty(name: str, old: str, new: str, tests: tuple[str, ...] = RUNS) -> Mutant:
    return Mutant(f"program {name}", MONTY, old, new, tests)


def subset(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"program {name}", SUBSET, old, new, READ)


MUTANTS = (
    monty("clock", '"datetime": "call_host"', '"datetime": "system"', HOSTILE),
    monty("randomness", '"random_start": "call_host"', '"random_start": "system"', HOSTILE),
    monty("asks the host", "if snapshot.is_os_function or", "if False or"),
    monty("tool", "if (step.tool, told_alike", "if (call.tool, told_alike"),
    monty("arguments", "(call.tool, told_alike(call.arguments)):", "(call.tool, told_alike(step.arguments)):"),
    monty("ends early", 'return self.diverged("is at its end")', "pass"),
    monty("stops early", 'if kind != "limit" and self.done', "if False and self.done"),
    monty("known tools", "if call.tool not in self.tools:", "if False:"),
    monty("number of calls", "if self.done >= self.limits.calls:", "if False:"),
    monty("answer is text", "if not isinstance(output, str):", "if False:"),
    monty("answer is small", "> self.limits.answer:", "< 0:"),
    monty("tool as value", "if name in self.tools:", "if False:"),
    monty("lookups", "if lookups > self.limits.lookups:", "if False:"),
    monty("values in guards", "assert_message_annotations=False, ", ""),
    monty("printed", "CollectString(self.limits.printed)", "CollectString()"),
    monty("memory", '"max_memory": limits.memory,', ""),
    monty("killed after", "feed_duration_limit_grace=self.limits.grace,", "feed_duration_limit_grace=60.0,"),
    monty("closing waits", "await self._free.wait_for(lambda: not self._running)", "pass"),
    monty("closed", "if self._closed:", "if False:"),
    Mutant("program position", VALUES, "    if args:", "    if False:", RUNS),
    Mutant("program plain JSON", VALUES, "if fault := _fault(value):", "if False:", RUNS),
    Mutant("program arguments small", VALUES, "if size > most:", "if False and size > most:", RUNS),
    Mutant("program arguments flat", VALUES, "if depth > DEEPEST:", "if False:", RUNS),
    Mutant("program message short", VALUES, "if len(text) <= LONGEST_MESSAGE", "if True", RUNS),
    Mutant(
        "program not run to check", CHECK, 'f"{START}()\\n{_answering_text(program)}"', "_answering_text(program)", READ
    ),
    Mutant("program answers text", CHECK, "{_answering_text(program)}", "{program}", READ),
    subset("imports", "if not isinstance(node, _SUBSET):", "if False:"),
    subset("refused names", "if name in REFUSED:", "if False:"),
    subset("ascii names", 'name.startswith("__") or not name.isascii()', 'name.startswith("__")'),
    subset("attributes", "if name.startswith(_INSIDES) or not name.isascii():", "if False:"),
    subset("guards are not caught", "yield from _caught(caught)", "return"),
    subset("tools in lambdas", "yield from _tools_inside(node, tools)", "return"),
    subset("length", "if told := _too_long(program):", 'if told := "":'),
    Mutant("program stub names", STUBS, "is_name(name) and not hasattr(builtins, name)", "is_name(name)", STUBBED),
    Mutant("program stub recursion", STUBS, "return place if place in self.classes else self", "return self", STUBBED),
)
