"""Pseudonyms: what stands in a recording in place of a personal value, the same for the same value, of the same shape.

A recording is kept to learn how a request leads to calls, and that is in which values are equal, not in which they are. A pseudonym
is made from an HMAC-SHA256 (RFC 2104) under a key of the tenant: whoever has no key cannot tell the value, nor try values out.

Rules of this file: pure. What no rule here knows stays as it is: names and addresses are not recognised.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from tenure.wire import Json

EMAIL = re.compile(r"[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")  # bounded: linear in any text
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
PHONE = re.compile(
    r"(?<![\w.])(?:\+\d{1,3}[ ./-]?(?:\(\d{1,4}\)[ ./-]?)?\d(?:[ ./-]?\d){5,12}|\(\d{3}\) ?\d{3}[ .-]\d{4})(?![\w-])"
)
MADE = re.compile(r"[0-9a-f]{12}@pseudonym\.invalid|ZZ00[0-9A-F]{16}|0000-0000-\d{4}-\d{4}|\+000 \d{9}")
Kind = Callable[[str, bytes], "str | None"]


def conceal(value: Json, key: bytes) -> Json:
    """`value` (JSON) with a pseudonym in place of each e-mail address, IBAN, card number and telephone number in its texts."""
    match value:
        case str():
            return _conceal_text(value, key)
        case dict():
            return {_conceal_text(name, key): conceal(inner, key) for name, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON
        case list():
            return [conceal(inner, key) for inner in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
        case _:
            return value


def is_concealed(text: str) -> bool:
    """Whether a pseudonym stands in it: then it is nobody's value, and nothing may be made of it but a comparison."""
    return MADE.search(text) is not None


def _conceal_text(text: str, key: bytes) -> str:
    for pattern, pseudonym in KINDS:
        text = pattern.sub(lambda found, make=pseudonym: make(found[0], key) or found[0], text)
    return text


def _digest(told: str, value: str, key: bytes) -> bytes:
    return hmac.new(key, f"{told}:{value}".encode(), hashlib.sha256).digest()


def _digits(told: str, value: str, key: bytes, many: int) -> str:
    return str(int.from_bytes(_digest(told, value, key)[:16]))[-many:].zfill(many)


def _email(value: str, key: bytes) -> str | None:
    if MADE.fullmatch(value):
        return None
    return f"{_digest('email', value.casefold(), key).hex()[:12]}@pseudonym.invalid"


def _iban(value: str, key: bytes) -> str | None:
    plain = value.replace(" ", "")
    if MADE.fullmatch(plain) or int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 != 1:
        return None  # ISO 13616: what does not check is no IBAN
    return f"ZZ00{_digest('iban', plain, key).hex()[:16].upper()}"


def _card(value: str, key: bytes) -> str | None:
    plain = re.sub(r"\D", "", value)
    if MADE.fullmatch(value) or not _is_luhn(plain):
        return None
    digits = _digits("card", plain, key, 8)
    return f"0000-0000-{digits[:4]}-{digits[4:]}"


def _phone(value: str, key: bytes) -> str | None:
    if MADE.fullmatch(value):
        return None
    return f"+000 {_digits('phone', re.sub(r'[^0-9+]', '', value), key, 9)}"


def _is_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (int(sign) * (1 + at % 2) for at, sign in enumerate(reversed(digits)))
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = ((EMAIL, _email), (IBAN, _iban), (CARD, _card), (PHONE, _phone))
