"""The checks of a capability's rollout: what lets it reach more people, what takes it back, and the evidence for both."""

from __future__ import annotations

from tests.mutations.mutant import Mutant

ROLLOUT, SPRT, WATCH, CANARY = (f"tenure/learn/{name}.py" for name in ("rollout", "sprt", "watch", "canary"))
ROLLED = ("tests/unit/test_rollout.py", "tests/unit/test_rollout_machine.py")
TESTED, WATCHED = ("tests/unit/test_sprt.py",), ("tests/unit/test_watch.py",)


def rollout(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"rollout: {name}", ROLLOUT, old, new, ROLLED)


def sprt(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"sprt: {name}", SPRT, old, new, TESTED)


def watch(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"watch: {name}", WATCH, old, new, WATCHED)


MUTANTS = (
    rollout("exactly once", "if event.number <= state.last:", "if event.number < state.last:"),
    rollout("version", "if event.version != state.version:", "if event.version > state.version:"),
    rollout("an end is final", "if state.stage in ENDS:", 'if state.stage == "retired":'),
    rollout("a pause serves nothing", 'return "no" if state.held else SERVES', "return SERVES"),
    rollout("gate: wrong writes", "if event.wrong_writes:", "if event.wrong_writes > 1:"),
    rollout("gate: coverage", "if event.coverage < policy.coverage:", "if False:"),
    rollout("gate: once", 'if state.stage != "mined":', "if False:"),
    rollout("deployment is asked", '"deploy", why) if policy.require_approval else', '"deploy", why) if False else'),
    rollout("promotion is asked", '"promote", why) if policy.require_approval else', '"promote", why) if False else'),
    rollout("answer: digest", "if event.digest != state.digest:", "if False:"),
    rollout("answer: number", "!= (state.asked.what, state.asked.number)", "!= (state.asked.what, event.asked)"),
    rollout("answer: what", "(event.what, event.asked) != (state.asked.what,", "(1, event.asked) != (1,"),
    rollout("silence is no approval", '"inconclusive", f"nobody answered', '"shadow", f"nobody answered'),
    rollout("wrong write", 'if event.outcome == "wrong_write":', "if False:"),
    rollout("in doubt", 'if event.outcome == "in_doubt":', "if False:"),
    rollout("guard after a write", 'if event.what == "guard" and not event.wrote:', 'if event.what == "guard":'),
    rollout("the watch ends it", "if watch.sounds(state.errors):", "if False:"),
    rollout("the watch after promotion", "if wrong or serves:", 'if wrong or state.stage == "canary":'),
    rollout("abstaining pauses", "watch.sounds(state.abstained):", "False:"),
    rollout("abstaining is no evidence", 'in_shadow and event.outcome == "clean"', "in_shadow"),
    rollout("late and clean", "if wrong or (in_shadow and", "if wrong or (True and"),
    rollout("the canary's own half", "ready = sprt.is_halfway(state.tally, policy.error_rate)", "ready = True"),
    rollout("not enough any more", 'if found == "undecided":', 'if found == "undecided" and state.asked is None:'),
    rollout("no traffic is no pass", "state.at - state.since < LASTS", "True"),
    rollout("paused time", "state.since + state.at - max(state.since, state.held_at)", "state.since"),
    rollout("reopened without evidence", "_with(state, tally=Tally(), abstained=Watch())", "_with(state)"),
    rollout("only the inconclusive reopens", 'if state.stage != "inconclusive":', "if False:"),
    sprt("whole clean runs", "bound // clean * clean", "bound // clean * clean - clean"),
    sprt("rejects", "if ratio >= nats((1 - MISTAKEN) / MISTAKEN):", "if ratio >= 2 * nats((1 - MISTAKEN) / MISTAKEN):"),
    sprt("horizon", "if tally.runs < horizon(criterion)", "if True"),
    watch("one part for each run", "doubling * (doubling + 1) * (doubling + 2)", "doubling * (doubling + 1)"),
    watch("begins anew", "max(had, new) + step[bad]", "had + step[bad]"),
    watch("alarm", "ALARM = nats(Fraction(20)) + 1", "ALARM = nats(Fraction(10)) + 1"),
    Mutant("canary: share", CANARY, "* 100 < percent", "* 101 < percent", ROLLED[:1]),
    Mutant("canary: capability", CANARY, "{len(capability)}:{capability}:{key}", "{key}", ROLLED[:1]),
)
