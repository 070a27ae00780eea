"""Approvals: whose answers count, what an approval covers, and what is looked at once more before an effect begins."""

# ruff: noqa: E501  # lines of other files, as they stand there

from __future__ import annotations

from tests.mutations.mutant import (
    ANSWERS,
    FORGERY,
    RESTRICTIONS,
    SECOND,
    TERMS,
    TIMING,
    TOOL_POLICY,
    Mutant,
)

PERMIT, JOB, ACT = "activities/permit.py", "activities/job.py", "activities/act.py"
VERIFY, ANSWER = "activities/verify.py", "tenure/approvals/answer.py"
REGISTRY, APPROVER = "tenure/runtime/approving.py", "tenure/approvals/approvers.py"
REQUESTS, ASK, CARD = "tenure/runtime/store/approvals.py", "workflows/ask.py", "workflows/approval.py"
NO_FORGERY = (f"{FORGERY}::test_no_forgery_counts_each_is_recorded_and_a_genuine_answer_still_does",)
ONCE = "tests/unit/test_answered_once.py"
CARDS, INBOX = "tests/unit/test_cards.py", "tests/unit/test_inbox.py"
UNREADABLE = "tests/unit/test_unreadable_answers.py"
CARRIED = "tests/scenarios/test_carried.py"
MACHINE = "tests/unit/test_gate_machine.py"


def permit(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, PERMIT, old, new, (SECOND,))


def answer(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, ANSWER, old, new, NO_FORGERY)


MUTANTS = (
    permit("permit: fence", "if standing.fence > job.ask.fence:", "if False:"),
    permit("permit: denial", "        case Deny(reason=why):\n            return Stale(why, standing)", "        case Deny():\n            return None"),
    permit("permit: ask", 'return Stale(f"{why}; {missing}", standing) if missing else None', "return None"),
    permit("permit: same run", "(asked.workflow, asked.tenant) != (job.workflow, job.run.tenant) or ", ""),
    permit("permit: card looked up", " or not _is_about(asked, job):", ":"),
    Mutant("approved: request unaltered", REGISTRY, " and _is_bound(asked) else None", " else None", (SECOND,)),
    permit("permit: kind", "asked.kind is not Kind.TOOL_CALL or ", ""),
    permit("permit: epoch", " or asked.epoch != job.ask.fence:", ":"),
    permit("permit: payload", "== made for one in calls)", "!= '' for one in calls)"),
    permit("permit: place in the run", 'job.seq])  # text: to Python 1 and True are equal\n    return any(canonical([one.get("tool"), one.get("arguments"), one.get("row")])', '0])\n    return any(canonical([one.get("tool"), one.get("arguments"), 0])'),
    Mutant("approved: different people", REGISTRY, "    return {\n        name\n        for token in approvals.approvals_of(db, asked.id)\n        for name in _approved(db, root, token, asked, roles, user)\n    }", "    return [name for token in approvals.approvals_of(db, asked.id) for name in _approved(db, root, token, asked, roles, user)]", (SECOND,)),
    Mutant("refused approves not", REQUESTS, "WHERE request = ? AND accepted = 1 AND token <> ''", "WHERE request = ? AND token <> ''", (SECOND,)),
    Mutant("approved: signature now", REGISTRY, "        approver(db, root, answer.principal, asked.tenant, roles)\n    except AnswerRefused:\n        return []", "        approver(db, root, answer.principal, asked.tenant, roles)\n    except AnswerRefused:\n        return [answers.read(token, key).principal]", (SECOND,)),
    Mutant("approved: live approver", REGISTRY, "        approver(db, root, answer.principal, asked.tenant, roles)\n", "", (SECOND,)),
    Mutant("approved: roles", REGISTRY, "approver(db, root, answer.principal, asked.tenant, roles)", "approver(db, root, answer.principal, asked.tenant, [])", (SECOND,)),
    Mutant("approved: own run", REGISTRY, " and not is_same(answer.principal, user)", "", (SECOND,)),
    Mutant("approved: verdict", REGISTRY, 'approves = answer.verdict == "approve" and', "approves =", (SECOND,)),
    Mutant("approved: fits the request", REGISTRY, "        answers.check(answer, asked, by, min(answer.exp * 1000 - 1, asked.deadline))  # in time when it was verified\n", "", (SECOND,)),
    permit("permit: quorum", 'return "" if len(people) >= needed', 'return "" if people'),
    permit("permit: quorum shown", "needed = max(asked.quorum, terms.quorum)", "needed = terms.quorum"),
    permit("permit: quorum now", "needed = max(asked.quorum, terms.quorum)", "needed = asked.quorum"),
    permit("permit: restrictions", "        standing=standing,\n", ""),
    permit("permit: taint", "        taint=job.taint,\n", ""),
    permit("permit: doubt", "        doubt=job.doubt,\n", ""),
    permit("permit: parent's cap", 'bounds = {} if job.ask.cap is None else {"cap": job.ask.cap}', "bounds = {}"),
    Mutant("permit: role", PERMIT, "if agent.roles else None", "if False else None", (SECOND,)),
    Mutant("approved means approved", REQUESTS, "WHERE id = ? AND choice = 'approve'", "WHERE id = ?", (SECOND,)),
    Mutant("job: digest", JOB, "if bound != ask.digest or ", "if ", (SECOND,)),
    Mutant("job: edit asks", JOB, "if self.ask.edited is not None else self.ask.doubt", "if False else self.ask.doubt", (SECOND,)),
    Mutant("job: taint", JOB, 'turn.get("taint", {}).get(str(ask.call), "")', '""', (SECOND,)),
    Mutant("effect: which policy", JOB, "            policy=self.agent.fingerprint,\n", "", (SECOND,)),
    Mutant("effect: which fence", JOB, "            fence=self.ask.fence,\n", "", (MACHINE, RESTRICTIONS)),
    Mutant("effect: which request", JOB, "            request=self.ask.request,\n", "", (SECOND,)),
    Mutant("begin: permit", ACT, "(permit(db, job, root) or _take(db, job)) if begins", "_take(db, job) if begins", (MACHINE, RESTRICTIONS)),
    Mutant("begin: rate limit", ACT, "(permit(db, job, root) or _take(db, job)) if begins", "permit(db, job, root) if begins", (TOOL_POLICY, RESTRICTIONS)),
    Mutant("read: rate limit", ACT, "lambda db: permit(db, job, self.to.root) or _take(db, job))", "lambda db: permit(db, job, self.to.root))", (TOOL_POLICY,)),
    Mutant("operator's limit", ACT, "return [*job.agent.limits(job.tool.name).items(), *set_now]", "return [*job.agent.limits(job.tool.name).items()]", (f"{RESTRICTIONS}::test_an_operators_limit_counts_beside_the_agents_own",)),
    Mutant("agent's limit", ACT, "return [*job.agent.limits(job.tool.name).items(), *set_now]", "return [*set_now]", (TOOL_POLICY,)),
    Mutant("read: permit", ACT, "        if stale is not None or not limits:\n            return stale\n        return await self.to.store.transact(lambda db: permit(db, job, self.to.root) or _take(db, job))", "        if not limits:\n            return None\n        return await self.to.store.transact(lambda db: _take(db, job))", (SECOND,)),
    Mutant("decide: halt", "activities/decide.py", "            if held.halted:\n", "            if False:\n", (RESTRICTIONS,)),
    answer("verify: signature", 'payload = jwt.api_jws.decode(token, key, algorithms=["EdDSA"])', 'payload = jwt.api_jws.decode(token, options={"verify_signature": False})'),
    Mutant("verify: form of an answer", ANSWER, "    if why := unlike(token):\n        raise AnswerRefused(why)\n", "", (INBOX,)),
    answer("verify: algorithm", 'if header.get("alg") != "EdDSA":', "if False:"),
    answer("verify: in own name", "yield gates or answer.principal == name,", "yield True,"),
    answer("verify: digest", "yield answer.digest == request.digest,", "yield True,"),
    answer("verify: request", "yield answer.request == request.id,", "yield True,"),
    answer("verify: choice", "yield answer.verdict in request.choices,", "yield True,"),
    answer("verify: edit apart", "yield edits or answer.edit is None,", "yield True,"),
    answer("verify: expiry", "yield answer.exp * 1000 > at,", "yield True,"),
    answer("verify: own run", "yield not is_same(answer.principal, request.user),", "yield True,"),
    Mutant("own run in capitals", APPROVER, '(user or "").strip().casefold()', '(user or "")', (SECOND, ANSWERS)),
    answer("verify: gateway says so", "yield not gates or answer.via == GATEWAY,", "yield True,"),
    answer("verify: no gateway", "yield gates or answer.via != GATEWAY,", "yield True,"),
    Mutant("verify: way", ANSWER, "yield not request.via or answer.via in request.via,", "yield True,", (ANSWERS,)),
    Mutant("verify: edit given", ANSWER, "yield not edits or answer.edit is not None,", "yield True,", (ANSWERS,)),
    Mutant("verify: edit usable", ANSWER, "        _usable(answer.edit)\n", "        pass\n", (ANSWERS,)),
    Mutant("verify: deadline", ANSWER, "yield request.deadline == 0 or at <= request.deadline,", "yield True,", (FORGERY, TIMING)),
    Mutant("verify: did-not in time", ANSWER, 'answer.verdict != "did-not" or at >= request.did_not_from,', "True,", ("tests/scenarios/test_in_doubt.py",)),
    Mutant("verify: root", APPROVER, 'jwt.api_jws.decode(statement, root, algorithms=["EdDSA"])', 'jwt.api_jws.decode(statement, options={"verify_signature": False})', (SECOND,)),
    Mutant("verify: whose statement", REGISTRY, "    if found.principal != row.principal:\n", "    if False:\n", NO_FORGERY),
    Mutant("verify: revoked", REGISTRY, "    if row is None or row.revoked_at is not None:\n        raise", "    if row is None:\n        raise", NO_FORGERY),
    Mutant("verify: tenant", REGISTRY, "    if not found.answers_for(tenant):", "    if False:", NO_FORGERY),
    Mutant("verify: roles", REGISTRY, "    if lacking:", "    if False:", NO_FORGERY),
    Mutant("verify: gateway is nobody", REGISTRY, "    if found.gateway:\n", "    if False:\n", (SECOND, *NO_FORGERY)),
    Mutant("verify: still open", VERIFY, "if not approvals.is_open(db, request.id) or", "if", (ONCE,)),
    Mutant("verify: not settled", VERIFY, " or approvals.is_settled(db, request.id, request.quorum):", ":", (ONCE,)),
    Mutant("verify: jti once", VERIFY, "if approvals.used(db, answer.jti):", "if False:", (ONCE,)),
    Mutant("verify: another person", VERIFY, 'if answer.verdict == "approve" and person in approvals.approved_by(db, request.id):', "if False:", (ONCE,)),
    Mutant("ask: accepted only", ASK, "if not verdict.accepted or verdict.jti in self._mail.jtis:", "if verdict.jti in self._mail.jtis:", (ONCE,)),
    Mutant("ask: jti once", ASK, "if not verdict.accepted or verdict.jti in self._mail.jtis:", "if not verdict.accepted:", (ONCE,)),
    Mutant("ask: different people", ASK, "if verdict.principal not in asking.approvals:", "if True:", (ONCE,)),
    Mutant("ask: quorum", ASK, "if len(asking.approvals) < request.quorum:", "if False:", (ONCE,)),
    Mutant("ask: form of an answer", ASK, "why, inbox = unlike(sent), self._mail.inbox", 'why, inbox = "", self._mail.inbox', (INBOX,)),
    Mutant("ask: room", ASK, "elif len(inbox) < INBOX_MOST and sum(map(len, inbox)) < INBOX_LIMIT:", "elif True:", (INBOX,)),
    Mutant("ask: room for many", ASK, "elif len(inbox) < INBOX_MOST and sum", "elif sum", (INBOX,)),
    Mutant("ask: room for long ones", ASK, " and sum(map(len, inbox)) < INBOX_LIMIT:", ":", (INBOX,)),
    Mutant("ask: end in a flood", ASK, "return settled or _expired(request)  #", "return settled  #", (INBOX,)),
    Mutant("unreadable rows", REQUESTS, "        except ValidationError:\n            continue\n", "        except ZeroDivisionError:\n            continue\n", (UNREADABLE,)),
    Mutant("carried: retried", "workflows/carry.py", " and info.attempt == 1", "", (CARRIED,)),
    Mutant("carried: cron", "workflows/carry.py", " and not info.cron_schedule", "", (CARRIED,)),
    Mutant("carried: by a client", "workflows/carry.py", "info.continued_run_id is not None and ", "", (CARRIED,)),
    Mutant("asked too much", VERIFY, "return asked >= ASKS_PER_APPROVER_HOUR * max(len(people), 1)", "return False", (f"{TERMS}::test_approvers_who_are_asked_too_much_are_asked_later",)),
    Mutant("asks of a run", CARD, "if run.asks >= ASKS_PER_RUN and turn.request is None:", "if False:", (f"{TERMS}::test_a_run_that_asks_on_and_on_is_parked_until_somebody_looks_at_it",)),
    Mutant("card: same terms", CARD, "if asks and terms_of(run.agent.tools[call.tool], call.arguments) == terms:", "if asks:", (CARDS,)),
    Mutant("card: only what asks", CARD, "isinstance(ruling_on(run, call), Ask) and not call.doubt", "not call.doubt", (CARDS,)),
    Mutant("card: doubt is alone", CARD, "    if first.doubt:\n        return found", "    if False:\n        return found", (CARDS,)),
    Mutant("card: other's doubt", CARD, " and not call.doubt and call.grant is None", " and call.grant is None", (CARDS,)),
    Mutant("card: approved already", CARD, " and not call.doubt and call.grant is None", " and not call.doubt", (CARDS,)),
    Mutant("card: time-out halts", CARD, 'case "expired" if terms.on_timeout == "halt":', 'case "expired" if False:', (f"{TERMS}::test_when_nobody_answers_in_time_the_terms_say_what_follows",)),
    Mutant("stale: grants dropped", "workflows/call.py", "    turn.grants = {of: grant for of, grant in turn.grants.items() if grant.fence == run.standing.fence}\n", "", (f"{RESTRICTIONS}::test_what_was_approved_before_a_halt_is_asked_again_after_it", TIMING, MACHINE)),
    Mutant("terms are signed", ASK, 'payload = {**payload, "why": why, **_unusual(terms)}', 'payload = {**payload, "why": why}', (f"{TERMS}::test_the_strictest_of_the_terms_that_mean_a_call_counts_and_is_signed",)),
)  # fmt: skip
