"""Budget(...): what may be spent, by whom and in which time, and what happens when that is gone.

Rules of this file: pure; time comes in. A call is paid for before it is made: it holds the most that it can cost in every scope,
and gives back what it did not use. Spend and holds of a scope together never exceed its cap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.optimize import money
from tenure.optimize.written import check_known

Exhaustion: TypeAlias = Literal["fallback", "pause", "stop"]
ScopeName: TypeAlias = Literal["run", "user/day", "agent/day", "tenant/day", "tenant/month"]
Fit: TypeAlias = Literal["fits", "held", "spent"]
AMOUNTS = ("daily", "per_request", "monthly", "per_user")


class Budget(BaseModel):
    """What may be spent. Dollars, kept as micro-dollars; days and months are those of UTC.

    `per_request` bounds one run, `daily` all runs of the agent for one tenant in a day, `per_user` those of one user of the
    tenant in a day, with any agent (runs that are started without a user it does not bound), `monthly` whatever the tenant spends
    in a month, with any agent. `alert_threshold` are the shares of a cap
    (above 0, at most 1) at which an alert is raised, once in each day or month. `on_exhausted`: "fallback" goes on with the next
    cheaper model and stops where there is none, "pause" waits until a person raises the cap or the day or month is over, "stop"
    ends the run. Keys may be written in camelCase. Raises ConfigError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    daily: int | None = None
    per_request: int | None = None
    monthly: int | None = None
    per_user: int | None = None
    alert_threshold: tuple[Decimal, ...] = (Decimal("0.8"), Decimal(1))
    on_exhausted: Exhaustion = "stop"

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            daily: float | str | Decimal | None = None,
            per_request: float | str | Decimal | None = None,
            monthly: float | str | Decimal | None = None,
            per_user: float | str | Decimal | None = None,
            alert_threshold: float | str | Decimal | Iterable[float | str | Decimal] = ...,
            on_exhausted: Exhaustion = "stop",
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Budget]) -> Budget:  # Any: not yet validated
        if isinstance(data, Budget):
            return data
        if not isinstance(data, Mapping):
            raise ConfigError(f"budget={data!r:.80}: must be a Budget, or a dict of what it takes")
        told: dict[str, Any] = {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # not yet validated
        check_known("budget", told, cls.model_fields)
        try:
            return handler(_read(told))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(
                f"budget.{'.'.join(map(str, first['loc']))}={first['input']!r:.80}: {first['msg']}"
            ) from error

    @property
    def bounds_nothing(self) -> bool:
        """Whether no amount is given: then only an operator's caps hold."""
        return all(getattr(self, name) is None for name in AMOUNTS)

    @field_validator("alert_threshold", mode="after")
    @classmethod
    def _rising(cls, given: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
        return tuple(sorted(set(given)))


def _read(told: dict[str, Any]) -> dict[str, Any]:  # Any: not yet validated
    for name in AMOUNTS:
        for key in {name, to_camel(name)}:
            if told.get(key) is not None:
                told[key] = money.read(f"budget.{key}", told[key])
    for key in ("alert_threshold", "alertThreshold"):
        if key in told:
            told[key] = _shares(f"budget.{key}", told[key])
    return told


def _shares(where: str, value: Any) -> tuple[Decimal, ...]:  # Any: not yet validated
    many: tuple[Any, ...] = (*value,) if isinstance(value, list | tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]
    return tuple(_share(where, one) for one in many)


def _share(where: str, value: Any) -> Decimal:  # Any: not yet validated
    try:
        share = Decimal(str(value))
    except InvalidOperation:
        share = Decimal("nan")
    if isinstance(value, bool) or not share.is_finite() or not 0 < share <= 1:
        raise ConfigError(f"{where}={value!r:.80}: must be a share of the cap, above 0 and at most 1, such as 0.8")
    return share


@dataclass(frozen=True)
class Spender:
    """Whose call it is. `workflow` is the run; empty where the call belongs to none: what is learned is learned for the tenant."""

    tenant: str
    agent: str
    workflow: str
    user: str | None = None


@dataclass(frozen=True)
class Scope:
    """What spend is counted in: `period` is a day (2026-11-21), a month (2026-11), or empty for all time.

    `cap` in micro-dollars; None: nothing bounds it, and it is counted for the day on which something does. `operator`: the number
    of the operator's cap that this is; 0: it is what an agent's own budget says.
    """

    name: ScopeName
    subject: str
    period: str
    cap: int | None = None
    operator: int = 0


def scopes(budget: Budget, who: Spender, at: int) -> list[Scope]:
    """Every scope in which a call made at `at` (milliseconds) counts, the narrowest first: always in the same order."""
    day, month = days(at)
    run = [Scope("run", who.workflow, "", budget.per_request)] if who.workflow else []
    user = [Scope("user/day", f"{who.tenant}:{who.user}", day, budget.per_user)] if who.user is not None else []
    return [
        *run,
        *user,
        Scope("agent/day", f"{who.tenant}:{who.agent}", day, budget.daily),
        Scope("tenant/day", who.tenant, day),  # only an operator caps it
        Scope("tenant/month", who.tenant, month, budget.monthly),
    ]


def named(scope: Scope, *, later: bool = False) -> str:
    """A scope as people say it: `the budget of user alice for today, over all agents`.

    `later`: as it is said to those who read it at another time, among others of other tenants.
    """
    tenant, _, whose = scope.subject.partition(":")
    here = f" of tenant {tenant}" if later else ""
    day, month = (scope.period, scope.period) if later else ("today", "this month")
    of = {
        "run": f"run {scope.subject}" if later else "this run",
        "user/day": f"user {whose}{here} for {day}, over all agents",
        "agent/day": f"agent {whose}{here} for {day}",
        "tenant/day": f"tenant {tenant} for {day}",
        "tenant/month": f"tenant {tenant} for {month}",
    }[scope.name]
    return f"the cap that an operator has set for {of}" if scope.operator else f"the budget of {of}"


def days(at: int) -> tuple[str, str]:
    """The day and the month of that time, in UTC."""
    when = datetime.fromtimestamp(at / 1000, UTC)
    return when.strftime("%Y-%m-%d"), when.strftime("%Y-%m")


def turns_at(scope: Scope, at: int) -> int | None:
    """When the period of a scope is over (milliseconds); None for a run, whose budget does not come back."""
    when = datetime.fromtimestamp(at / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match scope.name:
        case "run":
            return None
        case "tenant/month":
            following = (when.replace(day=1) + timedelta(days=32)).replace(day=1)
        case _:
            following = when + timedelta(days=1)
    return round(following.timestamp() * 1000)


def ended_at(scope: Scope) -> int | None:
    """When its period is over (milliseconds), whatever the time is now; None for a run."""
    if not scope.period:
        return None
    first = datetime.fromisoformat(f"{scope.period}-01"[:10])
    return turns_at(scope, round(first.replace(tzinfo=UTC).timestamp() * 1000))


def fits(cap: int | None, spent: int, held: int, amount: int) -> Fit:
    """Whether `amount` may be held now.

    "held": not now, but perhaps when others give back what they hold; "spent": not in this period.
    """
    if cap is None or spent + held + amount <= cap:
        return "fits"
    return "held" if spent + amount <= cap else "spent"
