"""The checks of learned capabilities where they serve: who teaches, what makes a run's turns, and what takes that back."""

from __future__ import annotations

from tests.mutations.mutant import Mutant

LEARNING, PERFORMING, ROLLING = "tenure/runtime/learning.py", "activities/performing.py", "activities/rollout.py"
KEPT, READ, SCHEDULES = (
    "tenure/runtime/store/capabilities.py",
    "tenure/runtime/store/recordings.py",
    "tenure/runtime/schedules.py",
)
FAULTS, FORGERY = "tests/scenarios/test_learning_faults.py", "tests/scenarios/test_learning_forgery.py"


def _faults(*names: str) -> tuple[str, ...]:
    return tuple(f"{FAULTS}::test_{name}" for name in names)


def _forgery(*names: str) -> tuple[str, ...]:
    return tuple(f"{FORGERY}::test_{name}" for name in names)


HALFWAY = _faults("a_program_that_stops_after_its_first_write_parks_the_run_and_is_rolled_back_at_once")
PEOPLE = _faults("a_person_is_asked_about_its_write_as_about_claude_s")
TAKEN_BACK = _faults("what_a_person_takes_back_serves_nobody_again")
ANOTHER = _forgery("another_program_than_the_approved_one_never_runs")
WIDER = _forgery("no_row_lets_a_program_serve_more_people_than_they_have_approved")

PACKS, PACKING = "tenure/runtime/packs.py", "tenure/runtime/packing.py"
PACKED, STORED = ("tests/scenarios/test_packs.py",), ("tests/unit/test_store_of_learning.py",)
MUTANTS = (
    Mutant("pack: signature", PACKS, 'algorithms=["EdDSA"]', 'options={"verify_signature": False}', PACKED),
    Mutant("pack: build", PACKING, "if capability.fingerprint != agent.fingerprint:", "if False:", PACKED),
    Mutant("pack: agent", PACKING, "if capability.agent != agent.name:", "if False:", PACKED),
    Mutant("pack: tools", PACKING, "for name in capability.tools if", "for name in () if", PACKED),
    Mutant("pack: program", PACKING, "faults(capability.program, capability.tools, capability.slots)", "()", PACKED),
    Mutant("pack: calls", PACKING, "(used & agent.tool.keys())", "(set() & agent.tool.keys())", PACKED),
    Mutant("pack: unread", PACKING, "overlooked(capability.trigger.parts, used)", "()", PACKED),
    Mutant("pack: not known here", PACKS, 'if json.loads(claims) != found.model_dump(mode="json"):', "if False:", PACKED),
    Mutant("unsafe: until heard", "tenure/runtime/store/capabilities.py", "if trials.is_stopped(", "if False and (", STORED),
    Mutant("unsafe: whose", LEARNING, 'return tried.mode != "shadow" and (not given_up', "return (True or given_up", STORED),
    Mutant("serving: half-way", PERFORMING, "changed = wrote and not made.by_others", "changed = False", HALFWAY),
    Mutant("serving: stopped at once", LEARNING, 'if kind in ("in_doubt", "breach"):', "if False:", HALFWAY),
    Mutant("serving: people's hand", PERFORMING, "wrote and not made.by_others", "wrote", PEOPLE),
    Mutant(
        "serving: told more", PERFORMING, 'if sum(len(row.get("texts", [])) for row in rows) != 1:', "if False:",
        _faults("a_run_that_is_told_more_leaves_the_capability_for_claude"),
    ),
    Mutant(
        "serving: hooks", PERFORMING, 'if any("modified" in row or "edited" in row for row in rows):', "if False:",
        (*PEOPLE, *_faults("a_hook_that_changes_or_rejects_a_call_leaves_the_run_to_claude")),
    ),
    Mutant(
        "serving: not made", PERFORMING, "return None if refused is None else", "return None if True else",
        (*PEOPLE, *_faults("a_hook_that_changes_or_rejects_a_call_leaves_the_run_to_claude")),
    ),
    Mutant("serving: taken back", "tenure/client/learn.py", "if what in NARROWS:", "if False:", TAKEN_BACK),
    Mutant(
        "serving: no owner", SCHEDULES, "lambda db: capabilities.lose(db, row, why)", "lambda db: None",
        _faults("a_rollout_that_is_ended_from_outside_serves_no_more_and_sets_out_anew"),
    ),
    Mutant(
        "serving: verified", READ, " = 1 ORDER BY at DESC, workflow", " IS NOT 2 ORDER BY at DESC, workflow",
        _faults("runs_that_nobody_called_good_never_teach"),
    ),
    Mutant(
        "serving: tenants", KEPT, '"SELECT id, version FROM rollouts WHERE tenant = ? AND agent = ?',
        '"SELECT id, version FROM rollouts WHERE ? <> tenant AND agent = ?',
        _faults("two_tenants_share_no_recording_no_capability_and_no_rollout"),
    ),
    Mutant(
        "serving: no words", "tenure/runtime/monty.py", "if output is None and is_wordless(self.program):", "if False:",
        _faults("a_program_that_knows_no_words_does_its_work_and_claude_answers"),
    ),
    Mutant(
        "serving: signed", LEARNING, '(deploying.refusal(db, root, row) if signed else "")', '""',
        (*WIDER, *_forgery("no_row_puts_a_program_into_service_that_nobody_has_approved")),
    ),
    Mutant("serving: which step", "tenure/runtime/deploying.py", 'bound = {"step": step, ', "bound = {", WIDER),
    Mutant("serving: the share", LEARNING, "min(row.percent, agent.learning.deployment.rollout_percentage)", "row.percent", WIDER),
    Mutant("serving: the program", LEARNING, "if found is None or not learned.digest == found.digest == row.digest:",
           "if found is None:", ANOTHER),
    Mutant("serving: its digest", "tenure/runtime/deploying.py", ', "digest": row.digest}', "}", ANOTHER),
    Mutant(
        "serving: unreadable", LEARNING, "except ValidationError:", "except ZeroDivisionError:", ANOTHER,
    ),
    Mutant(
        "serving: as tested", ROLLING, "return found if found.digest == digest else None", "return found",
        _forgery("a_program_that_was_changed_earns_nothing_in_the_shadow_and_is_rolled_back"),
    ),
    Mutant(
        "serving: revoked", "tenure/runtime/deploying.py", "if len(people) < asked.quorum:", "if False:",
        _forgery("what_a_revoked_approver_has_approved_serves_nobody"),
    ),
    Mutant("serving: this build", KEPT, "and kept.fingerprint == fingerprint]", "]", ("tests/unit/test_store_of_learning.py",)),
    Mutant("serving: rebuilt", KEPT, "c.fingerprint <> ?)))", "c.fingerprint = '' || ?)))",
           ("tests/unit/test_store_of_learning.py",)),
)  # fmt: skip
