"""Runs that teach: two desks that have nothing to do with a shop, each run made by rule from what a person asks."""

from __future__ import annotations

from collections.abc import Sequence

from tenure.learn.plan import Outcome, Plan, perform, recorded
from tenure.learn.recording import Recording, Step

HOUR = 3_600_000  # milliseconds
ASIDES = ("calm", "hurried", "kind", "tired", "cheerful", "brief", "formal", "grumpy", "curious", "patient")
PEOPLE = ("Ada Byron", "Alan Moth", "Grace Hoops", "Edsger Dyk", "Barbara Lisk", "Donald Nuth", "Tony Oare", "Niklaus Wort",
          "Frances Alen", "John Backes", "Jean Barto", "Radia Parl")  # fmt: skip


def tickets(count: int = 12) -> list[Recording]:
    """Duplicates of a ticket desk: "please close ticket T-1234 as duplicate of T-99"."""
    return [ticket(1000 + 37 * at, 90 + 11 * at, at) for at in range(count)]


def ticket(number: int, original: int, at: int, *, status: str = "open", close: bool = True) -> Recording:
    """One ticket that is looked at and, if it is open, closed."""
    id, of = f"T-{number}", f"T-{original}"
    shown = {"id": id, "status": status, "project": "engine", "reporter": f"u{number}", "votes": at}
    steps = [_read("get_ticket", {"ticket_id": id}, shown)]
    if close:
        steps.append(_write("close_ticket", {"ticket_id": id, "duplicate_of": of}, {**shown, "status": "closed"}))
    request = f"please close ticket {id} as duplicate of {of}"
    return _run(f"ticket-{number}-{at}", request, steps, f"Ticket {id} is closed in favour of {of}.", at)


def refunds(count: int = 12) -> list[Recording]:
    """Refunds of a billing desk: the request names dollars, the tool takes cents; an amount is part of an invoice."""
    return [refund(PEOPLE[at % 12], 17 + 3 * at, 1250 + 305 * at, at) for at in range(count)]


def refund(person: str, number: int, cents: int, at: int, *, paid: int | None = None) -> Recording:
    """One refund: the customer by name, the invoice by number, then the money."""
    invoice, first = f"INV-{number:04}", person.split(maxsplit=1)[0].lower()
    customer = f"c_{first}"
    bill = {"number": invoice, "customer": customer, "state": "paid", "lines": [{"sku": f"S-{number}", "cents": cents}]}
    refunded = {"invoice": invoice, "refunded": paid or cents}
    steps = [
        _read("find_customer", {"name": person}, customer),
        _read("get_invoice", {"number": invoice}, bill),
        _write("refund_invoice", {"number": invoice, "cents": paid or cents, "customer": customer}, refunded),
    ]
    told = ", ".join(ASIDES[at % 7 : at % 7 + 2 + at % 2])
    request = f"I'm {person}. I sound {told}. Refund ${cents / 100:.2f} of invoice {invoice}."
    return _run(f"refund-{number}-{at}", request, steps, f"${cents / 100:.2f} of {invoice} is refunded.", at)


def baskets(count: int = 12) -> list[Recording]:
    """A library: "Bring back via desk_4: Blue Moon; Old Sea; " where each title is looked up among the reader's loans."""
    titles = ("Blue Moon", "Old Sea", "Night Train Home", "Glass", "Red River", "Winter Light")
    return [basket([titles[(at + k) % 6] for k in range(1 + at % 3)], 500 + at, at) for at in range(count)]


def cards(count: int = 14) -> list[Recording]:
    """A bank: who it is by mail or by name and code, then a card of theirs is frozen for one of two reasons."""
    return [card(PEOPLE[at % 12], 300 + at, at) for at in range(count)]


def card(person: str, number: int, at: int, *, owner: str = "") -> Recording:
    """One card that is frozen; every third person is known by a code."""
    first, last = person.split()
    member, id, why = f"m_{last.lower()}", f"visa_{number}", ("lost", "no longer used")[at % 2]
    mail, code = f"{first.lower()}@bank.example", f"{70000 + at}"
    by_code = at % 3 == 0
    known = {"first": first, "last": last, "code": code}
    who = _read("member_by_code", known, member) if by_code else _read("member_by_mail", {"mail": mail}, member)
    shown = {"id": id, "member": owner or member, "frozen": False, "limit": 100 * at}
    steps = [
        who,
        _read("get_card", {"id": id}, shown),
        _write("freeze_card", {"id": id, "reason": why}, {"frozen": True}),
    ]
    told = f"my code is {code}" if by_code else f"my mail is {mail}"
    return _run(
        f"card-{number}-{at}", f"I am {person} and {told}. Freeze {id} because {why}.", steps, f"{id} is frozen.", at
    )


def basket(titles: Sequence[str], card: int, at: int) -> Recording:
    """One return of books by their titles."""
    card_id = f"card_{card}"
    names = [*titles, "Somebody Else"]
    loans = [{"title": name, "copy": f"{card}{place}", "due": place} for place, name in enumerate(names)]
    held = {"card": card_id, "state": "active", "loans": loans}
    copies = [loan["copy"] for loan in loans[: len(titles)]]
    steps = [
        _read("get_card", {"card": card_id}, held),
        _write("bring_back", {"card": card_id, "copies": copies}, "ok"),
    ]
    request = f"Card {card_id} brings back: {'; '.join(titles)}; "
    return _run(f"basket-{card}-{at}", request, steps, f"Thank you, {card_id}: {', '.join(titles)}.", at)


def replayed(plan: Plan, run: Recording, slots: dict[str, str | list[str]]) -> Outcome:
    """What the plan does where the tools answer as they did in the run."""
    return perform(plan, slots, recorded([(step.tool, step.arguments, step.result) for step in run.steps]))


def _run(run: str, request: str, steps: list[Step], answer: str, at: int) -> Recording:
    return Recording(
        run=run, agent="desk", fingerprint="ab12", request=request, steps=steps, answer=answer, cost=30_000, at=at * HOUR
    )  # fmt: skip


def _read(tool: str, arguments: dict[str, object], result: object) -> Step:
    return Step(tool=tool, effect="read", arguments=arguments, result=result)


def _write(tool: str, arguments: dict[str, object], result: object) -> Step:
    return Step(tool=tool, effect="write", arguments=arguments, result=result)
