"""Where a store is: the URL of TENURE_DATABASE_URL, and what of it may be shown."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from tenure.errors import ConfigError

POSTGRES = ("postgresql", "postgres")
RULE = "must be sqlite:///an/absolute/path.db or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_SECRET = ("password", "sslpassword")


def is_postgres(url: str) -> bool:
    """Whether a Postgres keeps the store at `url`."""
    return url.partition(":")[0] in POSTGRES


def shown(url: str) -> str:
    """`url` without a password: for people, logs and errors. Of a URL that cannot be read nothing but its scheme is told."""
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return url
    parts = _parts(url)
    if parts is None:
        return f"{scheme}://..." if scheme in POSTGRES else "..."  # what has no scheme may be nothing but a password
    who, at, host = parts.netloc.rpartition("@")
    query = urlencode([(k, v) for k, v in parse_qsl(parts.query) if k not in _SECRET], safe="/", quote_via=quote)
    return f"{scheme}://{who.partition(':')[0]}{at}{host}{parts.path}{'?' * bool(query)}{query}"


def _parts(url: str) -> SplitResult | None:
    """None where a password with a sign in it that should be escaped may stand in place of something else."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return (
        None
        if url.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment or not parts.netloc + parts.path
        else parts
    )


def split_mode(url: str) -> tuple[str, bool]:
    """A Postgres URL without `mode`, which is ours, and whether it says to only read. Raises ConfigError."""
    if shown(url).endswith("://..."):
        raise ConfigError(
            f"TENURE_DATABASE_URL={shown(url)}: {RULE}; in a password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23"
        )
    base, _, query = url.partition("?")
    told = [part for part in query.split("&") if part]
    rest = "&".join(part for part in told if not part.startswith("mode="))
    return (f"{base}?{rest}" if rest else base), "mode=ro" in told
