"""The checks of money and of answers that are given again: what is held, who shares, what is current, what may be kept."""

from __future__ import annotations

from tests.mutations.mutant import Mutant

GUARDS, CACHING, CACHED = "tenure/optimize/guards.py", "tenure/runtime/caching.py", "tenure/runtime/store/cached.py"
ADMISSION, RULES, EPOCHS = "tenure/optimize/admission.py", "tenure/optimize/rules.py", "tenure/runtime/store/epochs.py"
BUDGET, CHARGES = "tenure/optimize/budget.py", "tenure/runtime/store/charges.py"
RULED, KEPT, HELD = (
    ("tests/unit/test_cache_rules.py",),
    ("tests/unit/test_caching.py", "tests/unit/test_caching_machine.py"),
    ("tests/unit/test_charges.py",),
)
RUN = ("tests/scenarios/test_answer_cache.py",)
ASKED = "tests/scenarios/test_budget_requests.py"


def guards(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, GUARDS, old, new, RULED)


def caching(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, CACHING, old, new, KEPT)


def admission(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, ADMISSION, old, new, RULED)


MUTANTS = (
    guards("a link before a slot", "return after is not None and after.is_slot", "return False"),
    guards(
        "time counts", 'tense = ("p" if told & english.PAST else "")', 'tense = ("" if told & english.PAST else "")'
    ),
    guards("who does it counts", "people if len(set(people)) > 1 else ''", "''"),
    guards(
        "a name is a slot", 'return not begins and (plain not in english.DROPPED or plain == "will")', "return False"
    ),
    guards("numbers are not stemmed", "if not (word.isascii() and word.isalpha()):", "if False:"),
    guards("bare words", "if all(word.text in english.BARE for word in kept):", "if not kept:"),
    guards("too long", "if len(request) > LONGEST:", "if False:"),
    caching("tenant", "        request.tenant,\n        agent.name,", "        agent.name,"),
    caching("build", "        agent.fingerprint,\n", ""),
    caching("cache: role", "        request.role,\n", ""),
    caching("state", "        request.state,\n", ""),
    caching("cap", "        request.cap,\n", ""),
    caching("level", "        asked.snapshot.level,\n", ""),
    caching("context", "or request.context or", "or"),
    caching("tainted request", "or request.tainted:", "or False:"),
    caching("closed rule", "rule.name in closed or", ""),
    caching("epoch", "return epochs.of_tools(db, entry.tenant, entry.epochs, at) == entry.epochs", "return True"),
    caching("threshold", "if by >= rule.similarity and", "if"),
    caching("complaint", "    if bad:\n        _withdraw(db, run)", "    if False:\n        _withdraw(db, run)"),
    caching("complaint about a repeat", "if hit is not None and not hit.audited:", "if False:"),
    caching("complaint about a rule", "        _heard(db, run, bad, at)\n", "        pass\n"),
    Mutant("complaint: all answers", CACHED, '"audited = 0", who, rule', '"complained = 1", who, rule', KEPT),
    caching(
        "unknown taint",
        'found is None or found[1].get("tainted", True)',
        'found is not None and found[1].get("tainted", False)',
    ),
    caching("pure reads", "entry.effect is Effect.READ and not entry.takes_context", "entry.effect is Effect.READ"),
    caching("only reads", "entry.effect is Effect.READ and not entry.takes_context", "not entry.takes_context"),
    Mutant(
        "age",
        CACHED,
        "answer IS NOT NULL AND at > ? AND at <= ?",
        "answer IS NOT NULL AND at > ? - 10000000 AND at <= ?",
        KEPT,
    ),
    Mutant(
        "clock that went back",
        CACHED,
        "answer IS NOT NULL AND at > ? AND at <= ?",
        "answer IS NOT NULL AND at > ? AND at <= ? + 10000000",
        KEPT,
    ),
    Mutant(
        "epoch: bump",
        EPOCHS,
        "DO UPDATE SET number = data_changes.number + 1",
        "DO UPDATE SET number = data_changes.number",
        KEPT,
    ),
    Mutant("epoch: begin moves", EPOCHS, "    bump(db, tenant, named)\n", "", ("tests/unit/test_results_machine.py",)),
    Mutant("epoch: under way", EPOCHS, "if not any(matches(row[0], tool) for row in open_ones)", "if True", KEPT),
    Mutant(
        "epoch: tenant",
        EPOCHS,
        'FROM data_changes WHERE tenant = ?", (tenant,)',
        "FROM data_changes WHERE ? <> ''\", (tenant,)",
        (*KEPT, "tests/unit/test_reuse.py"),
    ),
    admission("answered", "not run.answered or", ""),
    admission("bad", "(run.bad > 0,", "(False,"),
    admission("verified", "(verified and run.good == 0,", "(False,"),
    admission("tainted", "(run.tainted,", "(False,"),
    admission("told more", "(run.others > 0,", "(False,"),
    admission("calls", "(not set(run.calls) <= run.pure,", "(False,"),
    admission("failed", "(run.failed,", "(False,"),
    admission("personal request", "not may_be_asked_again(run.request) or", ""),
    admission("personal answer", "or is_personal(run.answer),", ","),
    Mutant(
        "canned whole request",
        RULES,
        "re.fullmatch(pattern.removeprefix(REGEX), request.strip(), re.IGNORECASE)",
        "re.search(pattern.removeprefix(REGEX), request.strip(), re.IGNORECASE)",
        RULED,
    ),
    Mutant("canned everything", RULES, 'if fits(self.pattern, "") or', "if False and", RULED),
    Mutant("floor", RULES, "not similarity.FLOOR <= self.similarity <= 1", "False", RULED),
    Mutant(
        "halted agent",
        "activities/observe.py",
        "if held.halted or held.denied or held.cap != MOST:",
        "if False:",
        RUN,
    ),
    Mutant("holds count", BUDGET, "spent + held + amount <= cap", "spent + amount <= cap", HELD),
    Mutant(
        "settled once",
        CHARGES,
        "settled_at = ? WHERE key = ? AND outcome = 'held'\",\n        (told.cost",
        'settled_at = ? WHERE key = ?",\n        (told.cost',
        HELD,
    ),
    Mutant(
        "money: a no judges nobody",
        "tenure/runtime/judging.py",
        "Kind.BUDGET: False",
        "Kind.BUDGET: True",
        (f"{ASKED}::test_whoever_denies_money_says_nothing_against_the_agent",),
    ),
    Mutant(
        "money: enough is asked",
        "activities/paying.py",
        "add=max(cap, money.cents_up(total.spent + total.held + short.wanted - cap))",
        "add=cap",
        (f"{ASKED}::test_what_people_are_asked_to_add_is_enough_for_the_next_call_in_whole_cents_and_says_so",),
    ),
    Mutant(
        "money: amounts are checked",
        "activities/verify.py",
        'if edit != {"add": money.shown(told)}:',
        "if False:",
        (f"{ASKED}::test_an_amount_that_somebody_signed_by_hand_is_looked_at_before_it_counts",),
    ),
    Mutant(
        "money: asked as before",
        "workflows/budget.py",
        "request = run.parked.request or _request(",
        "request = _request(",
        ("tests/unit/test_money_asked.py",),
    ),
    Mutant(
        "money: refusals alert",
        "activities/paying.py",
        "if self.agent.budget.alert_threshold:",
        "if False:",
        ("tests/scenarios/test_exhausted.py::test_the_first_call_that_a_budget_refuses_raises_an_alert_once",),
    ),
)
