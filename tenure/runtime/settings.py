"""Where this installation keeps its things, read from the environment once, at the edges only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tenure.errors import ConfigError
from tenure.optimize.similarity import FLOOR

HOME_NAME = ".tenure"


@dataclass(frozen=True)
class Settings:
    """The settings of one process.

    `home` is the `.tenure` folder; `database_url` is `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` (with
    `?mode=ro` to only read); `blob_url` is `file:///PATH`; `approver_root` is the public key (base64url) that vouches for
    approvers; `patience` is how many seconds a run goes on asking a Claude that is overloaded or away; `notify` names functions
    (`MODULE:FUNCTION`, separated by commas) that are told when people are asked; `build_id`, when set, pins runs to this build of
    the worker; `prices` is a file of prices that go before those of the price table; `alert_webhook` is told of alerts, signed
    with `alert_secret`; below `similarity_floor` no rule of a cache may call two requests alike.
    """

    home: Path
    database_url: str = field(repr=False)  # it may hold a password
    blob_url: str
    task_queue: str = "tenure"
    approver_root: str | None = None
    patience: float = 3600.0
    build_id: str | None = None
    notify: str = ""
    ui_url: str = "http://localhost:8233"
    prices: Path | None = None
    alert_webhook: str = ""
    alert_secret: str = field(default="", repr=False)
    similarity_floor: float = FLOOR

    @classmethod
    def load(cls, env: Mapping[str, str] = os.environ, start: Path | None = None) -> Settings:
        """Settings from `env`, with the home found upward from `start` (default: the working folder)."""
        home = Path(env["TENURE_HOME"]).resolve() if "TENURE_HOME" in env else find_home(start or Path.cwd())
        return cls.at(home, env)

    @classmethod
    def at(cls, home: Path, env: Mapping[str, str]) -> Settings:
        """Settings of the installation whose folder is `home`."""
        return cls(
            home=home,
            database_url=env.get("TENURE_DATABASE_URL", f"sqlite://{home / 'tenure.db'}"),
            blob_url=env.get("TENURE_BLOB_URL", f"file://{home / 'blobs'}"),
            task_queue=env.get("TENURE_TASK_QUEUE", "tenure"),
            approver_root=env.get("TENURE_APPROVER_ROOT") or _read(home / "keys" / "root.pub"),
            patience=_number(env, "TENURE_PATIENCE", 3600.0, 10**9, "a positive number of seconds"),
            similarity_floor=_number(env, "TENURE_SIMILARITY_FLOOR", FLOOR, 1, "more than 0 and at most 1"),
            build_id=env.get("TENURE_BUILD_ID"),
            notify=env.get("TENURE_NOTIFY", ""),
            ui_url=env.get("TENURE_UI_URL", "http://localhost:8233"),
            prices=Path(env["TENURE_PRICES"]) if env.get("TENURE_PRICES") else None,
            alert_webhook=env.get("TENURE_ALERT_WEBHOOK", ""),
            alert_secret=env.get("TENURE_ALERT_WEBHOOK_SECRET", ""),
        )


def find_home(start: Path) -> Path:
    """The nearest `.tenure` folder at or above `start`, as git finds `.git`; otherwise the one `start` would get."""
    for folder in (start, *start.parents):
        if (folder / HOME_NAME).is_dir():
            return folder / HOME_NAME
    return start / HOME_NAME


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.is_file() else None


def _number(env: Mapping[str, str], name: str, default: float, most: float, rule: str) -> float:
    text = env.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        raise ConfigError(f"{name}={text!r}: must be {rule}")
    return value
