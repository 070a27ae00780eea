"""Links and addresses inside a text: what makes a reader, or a program that shows it, turn to somebody else.

Rules of this file: pure. It finds too much rather than too little: what it finds is asked about unless it comes from trusted
text. A link goes on until white space or a quote, so that no part of it hides behind a bracket. Texts come from attackers:
every pattern begins at a boundary or has a bound, so that none takes long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_OPAQUE = "mailto|tel|sms|data|javascript|magnet|bitcoin|ethereum"  # schemes that need no slash
_REST = r"[^\s<>\"`|]"
_MAIL = r"[^\s<>\"`|,;:()\[\]{}@]"
LINK = re.compile(
    rf"(?:\\\\(?=\w)|\b(?:[a-z][a-z0-9+.-]{{0,20}}:/{{1,3}}|www\.|(?:{_OPAQUE}):)){_REST}+", re.IGNORECASE
)
MAIL = re.compile(rf"(?<!{_MAIL}){_MAIL}+@{_MAIL}+")
DOMAIN = re.compile(rf"(?<![\w.-])(?:[\w-]{{1,63}}\.)+(?:xn--[\w-]+|[^\W\d_]{{2,24}})(?![^\W_]|-)(?:[:/?#]{_REST}*)?")
IP = re.compile(rf"(?<![\w.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\w.])(?:[:/]{_REST}*)?")
IBAN = re.compile(
    r"\b(?:(?i:[A-Z]{2}\d{2}[A-Z0-9]{11,30})|[A-Z]{2}\d{2}(?:[ -][A-Z0-9]{4}){2,7}(?:[ -][A-Z0-9]{1,4})?)\b"
)
WALLET = re.compile(r"\b(?:0x[0-9a-f]{16,}|(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{24,})\b", re.IGNORECASE)  # any long token
DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b")
PHONE = re.compile(r"(?<![\w.])(?:\+\d(?:[ ()./-]{0,2}\d){6,}|\d(?:[ ()./-]{0,2}\d){8,})(?!\w)")  # accounts, cards too
KINDS = (LINK, MAIL, DOMAIN, IP, IBAN, WALLET, DATE, PHONE)
FILES = {  # endings of file names that no top-level domain has
    "bmp", "csv", "css", "doc", "docx", "exe", "gif", "gz", "htm", "html", "ics", "ini", "jpeg", "jpg", "js", "json", "log",
    "mp3", "mp4", "odt", "pdf", "png", "ppt", "pptx", "svg", "tar", "toml", "ts", "tsv", "txt", "wav", "webp", "xls", "xlsx",
    "xml", "yaml", "yml",
}  # fmt: skip
DOTS = str.maketrans({"。": ".", "．": ".", "｡": "."})  # a browser takes them for dots


def addresses(text: str) -> list[str]:
    """The links, domains, mail and IP addresses, and the numbers of accounts, wallets and phones in `text`, each once."""
    plain = unicodedata.normalize("NFKC", text).translate(DOTS)
    return list(dict.fromkeys(_found("".join(char for char in plain if unicodedata.category(char) != "Cf"))))


def _found(text: str) -> Iterator[str]:
    for kind in KINDS:
        for found in kind.findall(text):
            bare = found.rstrip(".,;:!?)]}'*_").lstrip("'*_")
            if bare and kind is not DATE and not (kind is DOMAIN and _is_file(bare)):
                yield bare
        text = kind.sub(" | ", text)  # what a link holds is no address of its own


def _is_file(name: str) -> bool:
    """Whether a name with dots is a file's and can be no host's."""
    host = re.split(r"[:/?#]", name, maxsplit=1)[0]
    return host.rsplit(".", 1)[-1].casefold() in FILES
