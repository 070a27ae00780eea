"""The checks of a call: what the gate makes of it, by level, rule, role, taint and restriction."""

# ruff: noqa: E501  # lines of other files, as they stand there

from __future__ import annotations

from tests.mutations.mutant import (
    CHAIN,
    FACTS,
    LAWS_OF_RESTRICTIONS,
    LAWS_OF_TERMS,
    PROPERTIES,
    RESTRICTIONS,
    SECOND,
    Mutant,
)

CHECKS, GRAMMAR, GATE = "tenure/trust/checks.py", "tenure/trust/grammar.py", "workflows/gate.py"
FOLD, TERMS, RULING = "tenure/trust/restrictions.py", "tenure/trust/terms.py", "tenure/trust/ruling.py"
LEVEL = f"{PROPERTIES}::test_the_level_of_a_run_is_the_lowest_of_its_agents_its_parents_and_an_operators"
KNOWN, DEFAULTS, SPEAKS = "tenure/trust/known.py", ("tests/unit/test_defaults.py",), ("tests/unit/test_known.py",)
GRAMMAR_TESTS = ("tests/unit/test_grammar.py", "tests/unit/test_cedar.py")


def checks(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, CHECKS, old, new, FACTS)


def gate(name: str, old: str, new: str = "") -> Mutant:
    return Mutant(name, GATE, old, new, (*FACTS, *LAWS_OF_TERMS))


def terms(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, TERMS, old, new, LAWS_OF_TERMS)


MUTANTS = (
    checks("halt", "if case.standing.halted else []", "if False else []"),
    checks("operator's denial", "in denies(case.standing, case.tool, case.arguments)", "in []"),
    checks("role", "return Deny(f\"the role {case.role!r} may not use {case.tool}\")", "return Allow()"),
    checks("effect asks", "if case.effect in ASKING else [Allow()]", "if False else [Allow()]"),
    checks("operator's cap, no trust", '        (case.standing.cap, "an operator\'s cap"),\n', ""),
    Mutant("parent's cap, no trust", CHECKS, '        (case.cap, "the level of the run that started this one"),\n', "", (SECOND,)),
    checks("rule denies", 'Deny(f"{told.permission} is denied") if', "Allow() if"),
    checks("rule asks", 'else Ask(f"{told.permission} is always asked")', "else Allow()"),
    checks("no level allows", 'return Deny(f"no level of trust allows {tool}")', "return Allow()"),
    checks("level too low", "if needed <= has:", "if True:"),
    checks("taint asks", "return Ask(case.taint) if", "return Allow() if"),
    checks("doubt asks", "Ask(case.doubt) if case.doubt", "Allow() if case.doubt"),
    checks("own level", "min(self.level, self.cap, self.standing.cap)", "min(self.cap, self.standing.cap)"),
    checks("parent's cap", "min(self.level, self.cap, self.standing.cap)", "min(self.level, self.standing.cap)"),
    checks("operator's cap", "min(self.level, self.cap, self.standing.cap)", "min(self.level, self.cap)"),
    checks("permit's conditions", "if parse(told.permission).allows(case.arguments)", "if True"),
    checks("rule's conditions", "if parse(told.permission).restricts(case.arguments)", "if parse(told.permission).allows(case.arguments)"),
    Mutant("deny beats ask", RULING, "    if denials:", "    if denials and not asks:", ("tests/unit/test_ruling.py",)),
    Mutant("ask beats allow", RULING, "    if asks:", "    if False:", ("tests/unit/test_ruling.py",)),
    Mutant("no check denies", RULING, "Ruling(Allow()) if found else", "Ruling(Allow()) if True else", FACTS),
    Mutant("missing never allows", GRAMMAR, "condition.holds(arguments) is True", "condition.holds(arguments) is not False", GRAMMAR_TESTS),
    Mutant("missing still denies", GRAMMAR, "condition.holds(arguments) is not False", "condition.holds(arguments) is True", GRAMMAR_TESTS),
    Mutant("true is no number", GRAMMAR, "if value is None or isinstance(value, bool):", "if value is None:", GRAMMAR_TESTS),
    Mutant("kinds must agree", GRAMMAR, "if _kind(found) != _kind(self.literal) or (", "if (", GRAMMAR_TESTS),
    Mutant("kinds in a list", GRAMMAR, "return None if not comparable else", "return", GRAMMAR_TESTS),
    Mutant("whole names", "tenure/trust/pattern.py", "return pattern == tool", "return tool.startswith(pattern)", FACTS),
    gate("unknown tool", 'return rule([Deny(f"{run.agent.agent} has no tool {tool!r}")])', "facts = ToolFacts()"),
    gate("gate: parent's cap", 'more = {} if request.cap is None else {"cap": request.cap}', "more = {}"),
    gate("gate: level", "        level=agent.level,\n", "        level=10,\n"),
    gate("gate: restrictions", "        standing=run.standing,\n"),
    gate("gate: role", "if agent.roles else None", "if False else None"),
    gate("gate: taint", "        taint=taint,\n"),
    gate("gate: doubt", "        doubt=doubt,\n"),
    gate("gate: rules", "        rules=facts.rules,\n"),
    gate("gate: terms' conditions", "if parse(told.permission).restricts(facts.given(arguments))", "if parse(told.permission).allows(facts.given(arguments))"),
    Mutant("gate: defaults", GATE, "arguments=facts.given(arguments)", "arguments=arguments", DEFAULTS),
    Mutant("gate: terms' defaults", GATE, "restricts(facts.given(arguments))", "restricts(arguments)", DEFAULTS),
    Mutant("what is given beats a default", "tenure/run.py", "{**self.defaults, **arguments}", "{**arguments, **self.defaults}", DEFAULTS),
    Mutant("what must be given has no default", KNOWN, " and name not in required}", "}", DEFAULTS),
    Mutant("what denies names a tool", KNOWN, "    check_tools(where, [pattern], schemas)\n", "", SPEAKS),
    Mutant("what grants names an argument", KNOWN, "if found and all(found):", "if False:", SPEAKS),
    Mutant("what denies names an argument", KNOWN, 'if strange := next(filter(None, found), ""):', 'if strange := "":', SPEAKS),
    Mutant("unknown outcome asks", GATE, "if same_call in run.unknown:", "if False:", ("tests/scenarios/test_durability.py", "tests/scenarios/test_in_doubt.py", "tests/scenarios/test_reviewed.py")),
    Mutant("edited call asks", GATE, '"a person has edited this call" if index in turn.edited else ""', '""',
           ("tests/scenarios/test_terms.py::test_an_edit_is_another_call_which_is_asked_about_anew",)),
    Mutant("fold: lowest cap", FOLD, "cap=min((level.read", "cap=max((level.read", LAWS_OF_RESTRICTIONS),
    Mutant("fold: halts", FOLD, 'halted="; ".join(halts)', 'halted=""', LAWS_OF_RESTRICTIONS),
    Mutant("fold: denials", FOLD, 'denied=[one.value for one in told if one.kind == "deny"]', "denied=[]", LAWS_OF_RESTRICTIONS),
    Mutant("fold: limits", FOLD, 'if one.kind == "limit"},', "if False},", LAWS_OF_RESTRICTIONS),
    terms("terms: quorum", "quorum=max(one.quorum for one in told)", "quorum=min(one.quorum for one in told)"),
    terms("terms: roles", "roles=sorted({role for one in told for role in one.roles})", "roles=[]"),
    terms("terms: deadline", "deadline=min(one.deadline for one in told),", "deadline=max(one.deadline for one in told),"),
    terms("terms: ways", "if all(way in one.via for one in told)", "if any(way in one.via for one in told)"),
    terms("terms: time-out", 'if any(one.on_timeout == "halt" for one in told)', 'if all(one.on_timeout == "halt" for one in told)'),
    terms("two for destructive", 'many = 2 if effect in ("destructive", "privileged") else 1', "many = 1"),
    terms("destructive halts", 'halts = "halt" if effect == "destructive" else "deny"', 'halts = "deny"'),
    Mutant("two for escalation", TERMS, '{"quorum": 2 if to >= MANY else 1}', '{"quorum": 1}', ("tests/scenarios/test_terms.py::test_two_people_are_the_least_for_what_cannot_be_undone_and_for_a_high_escalation",)),
    Mutant("taint monotone", "workflows/turn.py", "run.tainted = run.tainted or turn.tainted", "run.tainted = turn.tainted", (CHAIN,)),
    Mutant("child: taint", "tenure/client/runs.py", "tainted=parent.tainted or", "tainted=", (CHAIN,)),
    Mutant("child: message", "workflows/turn.py", '"untrusted": run.request.tainted,', '"untrusted": False,', (CHAIN,)),
    Mutant("level 0 is a level", "workflows/call.py", '{} if run.level is None else {"cap": run.level}', '{"cap": run.level} if run.level else {}', (SECOND,)),
    Mutant("run: parent's cap", "tenure/run.py", "(self.agent.level, self.request.cap, operator)", "(self.agent.level, operator)", (LEVEL,)),
    Mutant("run: operator's cap", "tenure/run.py", "(self.agent.level, self.request.cap, operator)", "(self.agent.level, self.request.cap)", (LEVEL,)),
    Mutant("run: own level", "tenure/run.py", "(self.agent.level, self.request.cap, operator)", "(self.request.cap, operator)", (LEVEL,)),
    Mutant("child: state", "activities/provenance.py", "given = self._initial if self._message_trusted else None", "given = self._initial", (CHAIN,)),
    Mutant("child: user", "tenure/client/runs.py", 'user=options.get("user") or parent.user,', 'user=options.get("user"),', (CHAIN,)),
    Mutant("child: cap", "tenure/client/runs.py", "cap=parent.cap,", "cap=None,",
           (f"{RESTRICTIONS}::test_a_child_run_has_no_more_trust_than_its_parent_and_inherits_its_taint",)),
    Mutant("carried: taint", "workflows/carry.py", "whole = RunState.model_validate(run.model_dump())", 'whole = RunState.model_validate(run.model_dump(exclude={"tainted"}))', (CHAIN,)),
    Mutant("act hears of taint", "workflows/call.py", '"tainted": run.tainted,', '"tainted": False,', (CHAIN,)),
    Mutant("act hears of level", "workflows/call.py", '{} if run.level is None else {"cap": run.level}', "{}", (SECOND,)),
)  # fmt: skip
