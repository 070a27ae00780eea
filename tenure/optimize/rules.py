"""CacheRule(...): which requests are answered without Claude, and for how long an answer stands.

Rules of this file: pure. A canned rule matches whole requests by a named intent, by examples, or by a regular expression, never
by likeness. What would match anything is refused: it would answer everybody the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from tenure.errors import ConfigError
from tenure.optimize import similarity
from tenure.optimize.guards import exact
from tenure.optimize.intents import INTENTS, says
from tenure.optimize.written import check_known, near

Kind: TypeAlias = Literal["canned", "exact", "similar"]
REGEX = "regex:"
LONGEST_REQUEST = 200  # characters that a canned rule looks at: a longer request asks for more than that
YEAR = 366 * 86_400
# No rule has a reason to match all of these.
UNLIKE = (
    "hello",
    "what is my balance?",
    "Refund order 4711, now!",
    "1",
    "Ω",
    "please delete everything that I ever wrote to you",
)
NESTED = re.compile(r"[*+}]\)?[*+{]|\((?:[^()\\]|\\.)*[*+](?:[^()\\]|\\.)*\)[*+{]")  # it may take for ever


class CacheRule(BaseModel):
    """One way to answer a request without Claude.

    With `response` it is canned: whatever matches `pattern` or one of `examples` is answered with it. `pattern` is the name of an
    intent ("greeting", "thanks", "goodbye"), or "regex:" and a regular expression that the whole request must match, in either
    case. A canned answer does not age, since no run has found it out: `ttl` may stand beside it and means nothing there.

    Without `response` it gives the answers of earlier runs again, for `ttl` seconds after those runs began: to the very same
    request, or with `similarity` (at least 0.7) to one that the guards call the same and that is written that much alike.
    `pattern` and `examples` then limit it to such requests. Keys may be written in camelCase. Raises ConfigError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    pattern: str | None = None
    examples: tuple[str, ...] = ()
    response: str | None = None
    similarity: float | None = None
    ttl: int | None = None  # seconds; beside a response it means nothing

    if TYPE_CHECKING:  # what may be written is wider than what is kept

        def __init__(
            self,
            *,
            pattern: str | None = None,
            examples: tuple[str, ...] | list[str] = (),
            response: str | None = None,
            similarity: float | None = None,
            ttl: int | None = None,
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[CacheRule]) -> CacheRule:  # Any: not yet validated
        if isinstance(data, Mapping):
            told: dict[str, Any] = {str(key): value for key, value in data.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # not yet validated
            check_known("cache_rules", told, cls.model_fields, dict.fromkeys(("admit", "audit"), "Optimization itself"))
        try:
            rule = handler(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(["cache_rules", *map(str, first["loc"])])
            raise ConfigError(f"{where}={first['input']!r:.80}: {first['msg']}") from error
        rule._check()
        return rule

    @property
    def name(self) -> str:
        """What it is called where its hits are counted; equal for rules that say the same."""
        match self.kind:
            case "canned":
                return self.pattern or f"examples {self.examples[0]!r}"
            case "exact":
                about = "exact"
            case "similar":
                about = f"similar {self.similarity:g}"
        limit = self.pattern or (f"examples {self.examples[0]!r}" if self.examples else "")
        return f"{about}{f' ({limit})' if limit else ''}"

    @property
    def kind(self) -> Kind:
        """How it answers."""
        if self.response is not None:
            return "canned"
        return "exact" if self.similarity is None else "similar"

    def matches(self, request: str) -> bool:
        """Whether the request is one that the rule is about."""
        if self.pattern is None and not self.examples:
            return True
        if len(request) > LONGEST_REQUEST:
            return False
        named = self.pattern is not None and fits(self.pattern, request)
        return named or any(_plain(request) == _plain(example) for example in self.examples)

    def _check(self) -> None:
        if self.ttl is not None and not 0 < self.ttl <= YEAR:
            raise ConfigError(f"cache_rules.ttl={self.ttl}: must be seconds, more than 0 and at most a year")
        if self.pattern is not None:
            check_pattern("cache_rules.pattern", self.pattern)
            if fits(self.pattern, "") or sum(fits(self.pattern, one) for one in UNLIKE) > 1:
                raise ConfigError(
                    f"cache_rules.pattern={self.pattern!r:.80}: matches everything: name what it is about"
                )
        if self.response is not None:
            self._check_canned()
        elif self.ttl is None:
            raise ConfigError("cache_rules.ttl is missing: say for how many seconds an answer may be given again")
        if self.similarity is not None and not similarity.FLOOR <= self.similarity <= 1:
            rule = f"must be at least {similarity.FLOOR:g} and at most 1: below, likeness of writing says nothing"
            raise ConfigError(f"cache_rules.similarity={self.similarity:g}: {rule}")

    def _check_canned(self) -> None:
        if self.similarity is not None:
            raise ConfigError("cache_rules.similarity: a rule with a response matches by pattern or examples alone")
        if not (self.response or "").strip():
            raise ConfigError(f"cache_rules.response={self.response!r}: must say something")
        if self.pattern is None and not self.examples:
            raise ConfigError(
                "cache_rules.response: give the rule a pattern or examples, or it would answer everything"
            )
        if empty := [example for example in self.examples if not _plain(example)]:
            raise ConfigError(f"cache_rules.examples={empty[0]!r}: must be a request")


def fits(pattern: str, request: str) -> bool:
    """Whether the whole request is what the pattern names: an intent, or "regex:" and an expression, in either case."""
    if pattern.startswith(REGEX):
        return re.fullmatch(pattern.removeprefix(REGEX), request.strip(), re.IGNORECASE) is not None
    return says(request) in INTENTS[pattern]


def check_pattern(where: str, pattern: str) -> None:
    """Raise ConfigError for what is no pattern, or may take for ever to match."""
    if not pattern.startswith(REGEX):
        if pattern not in INTENTS:
            known, meant = ", ".join(map(repr, INTENTS)), near(pattern, INTENTS).removeprefix(": ")
            raise ConfigError(
                f"{where}={pattern!r:.80}: must be one of {known}, or '{REGEX}...'{meant and f': {meant}'}"
            )
        return
    try:
        re.compile(pattern.removeprefix(REGEX))
    except re.error as error:
        raise ConfigError(f"{where}={pattern!r:.80}: not a regular expression: {error}") from error
    if NESTED.search(pattern.removeprefix(REGEX)):
        raise ConfigError(f"{where}={pattern!r:.80}: repeats what repeats: it may take for ever to match")


def _plain(request: str) -> str:
    return exact(request).casefold().rstrip(" .!?")
