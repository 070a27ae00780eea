"""The checks of programs that Claude writes: what it is shown, what its text may be, and how it is tested."""

from __future__ import annotations

from tests.mutations.mutant import Mutant

WRITTEN, WORDING, DRAFTING, VALIDATING, WRITING = (
    "tenure/learn/written.py",
    "tenure/learn/wording.py",
    "tenure/runtime/drafting.py",
    "tenure/runtime/validating.py",
    "activities/writing.py",
)
READ, WANTED, ASKED = (
    ("tests/unit/test_written.py",),
    ("tests/unit/test_drafting.py",),
    ("tests/scenarios/test_writing.py",),
)


def written(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"written: {name}", WRITTEN, old, new, READ)


def asked(name: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(f"asked: {name}", file, old, new, ASKED)


MUTANTS = (
    written("cut", 'if stop not in ("end_turn", "stop_sequence"):', "if False:"),
    written("long", "> LONGEST_TEXT:", "< 0:"),
    written("one key", 'or list(told) != ["program"]', 'or "program" not in told'),
    written("a key twice", "if len(dict(pairs)) < len(pairs):", "if False:"),
    written("fenced whole", "FENCED.fullmatch(text)", "FENCED.search(text)"),
    written("empty", "or not program.strip()", ""),
    written("half is held out", "len(runs) // 2", "len(runs)"),
    written("five are held out", "if many >= LEAST else []", ""),
    written("drawn", "hashlib.sha256(run.run.encode()).hexdigest()", '""'),
    written("no remarks", "return [one for one in body if not", "return [one for one in body if True or not"),
    written("other changes", "if name not in tools.reads and name not in changes", "if False"),
    written("all changes", "if missing := sorted(set(changes) - set(called)):", "if False:"),
    written("nothing overlooked", "if unused := overlooked(trigger.parts, used):", "if False:"),
    written("subset", "if problems := faults(program, tools.every, names(trigger.parts)):", "if False:"),
    written("checks come first", "(first is None or node.lineno < first)", "True"),
    Mutant("written: share", "tenure/learn/forms.py", ">= max(fewest, 1):", ">= 1:", READ),
    Mutant("written: vocabulary", WORDING, "vocabulary=_vocabulary(every)", "vocabulary=[]", READ),
    asked("auto_generate", DRAFTING, "or not agent.learning.capabilities.auto_generate", ""),
    Mutant("asked: enough runs", DRAFTING, "if len(sound(runs)) < needed:", "if False:", WANTED),
    Mutant(
        "asked: with what it was",
        DRAFTING,
        "if set(before.shown) <= {run.run for run in readable}:",
        "if True:",
        WANTED,
    ),
    asked("not again", DRAFTING, "newer >= before.runs, told", "True, told"),
    asked("tried on what it saw", DRAFTING, "await validating.objections(sandbox, agent, made, shown)", "[]"),
    asked(
        "tried on what it did not see",
        VALIDATING,
        "one.run not in proposal.shown][at::FOLDS]",
        "one.run in proposal.shown][at::FOLDS]",
    ),
    asked("paid once", WRITING, "if stands is None:", "if True:"),
    asked("nobody's run", WRITING, "NoRun(task.of.tenant)", "NoRun(task.of.tenant, user=task.of.agent)"),
    asked("declined", WRITING, "if stands.stop == DECLINED:", "if False:"),
)
