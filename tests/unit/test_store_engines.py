"""The verbs of a store: what they promise holds on every database that Tenure knows, among threads and processes."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import tenure.runtime.store as package
from tenure.errors import ConfigError, StoreMismatch, StoreUnavailable
from tenure.runtime.store import Connection, Store, schema, shown
from tenure.runtime.store.dialect import translated
from tests.postgres import Postgres

HOLDER = str(Path(__file__).with_name("holder.py"))


def put(key: str, value: str = "") -> str:
    return f"INSERT INTO meta VALUES ('{key}', '{value}')"


def keys(db: Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT key FROM meta")} - {"store_id", "schema"}


# What every store promises


async def test_what_was_transacted_stays_and_nothing_of_what_failed(store: Store) -> None:
    await store.transact(lambda db: db.execute(put("a")))

    def fail(db: Connection) -> None:
        db.execute(put("b"))
        raise KeyError("after it was written")

    with pytest.raises(KeyError):
        await store.transact(fail)
    with pytest.raises(StoreUnavailable, match=r"cannot be used.*(UNIQUE|unique)"):
        await store.transact(lambda db: [db.execute(put(key)) for key in ("c", "a")])
    assert await store.read(keys) == {"a"}


async def test_a_transaction_sees_what_those_before_it_have_done_also_when_it_had_to_wait(
    store: Store, database_url: str
) -> None:
    other, written = Store.open(database_url), threading.Event()

    def slow(db: Connection) -> None:
        db.execute(put("first"))
        written.set()
        time.sleep(0.3)

    first = asyncio.create_task(store.transact(slow))
    await asyncio.to_thread(written.wait, 10)
    assert await other.read(keys) == set(), "what is not committed is nobody else's"
    assert await other.transact(keys) == {"first"}
    await first
    other.close()


async def test_numbers_are_given_in_the_order_of_commits(store: Store, database_url: str) -> None:
    from tenure.runtime.store import outcomes

    stores = [store, *(Store.open(database_url) for _ in range(3))]
    who, known = ("acme", "desk"), set[int]()

    def finish(number: int, db: Connection) -> None:
        outcomes.finished(db, who, f"r{number}", 1)
        time.sleep(0.002 * (number % 3))

    def look(db: Connection) -> None:
        found = {one.seq for one in outcomes.after(db, who, 0, 999)}
        assert not {seq for seq in found - known if seq < max(known, default=0)}, "one came after a higher one"
        known.update(found)

    for number in range(0, 40, 4):
        told = [one.transact(partial(finish, number + at)) for at, one in enumerate(stores)]
        pending = asyncio.gather(*told)
        while not pending.done():
            await stores[1].read(look)
        await pending
    assert await store.read(lambda db: outcomes.places(db, who)) == 40
    for one in stores[1:]:
        one.close()


def test_those_who_open_a_new_store_at_once_open_the_same_one(database_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: Store.open(database_url), range(6)))
    assert len({one.id for one in stores}) == 1
    for one in stores:
        one.close()


def test_a_store_of_a_newer_tenure_is_refused(store: Store, db: Connection, database_url: str) -> None:
    newer = (
        "PRAGMA user_version=99" if "sqlite" in database_url else "UPDATE meta SET value = '99' WHERE key = 'schema'"
    )
    db.execute(newer)
    with pytest.raises(StoreMismatch, match=f"has schema 99, this Tenure knows {schema.VERSION}"):
        Store.open(database_url)


async def test_a_store_that_is_only_read_is_not_made_and_not_written(database_url: str) -> None:
    only_read = f"{database_url}{'&' if '?' in database_url else '?'}mode=ro"
    with pytest.raises(StoreUnavailable, match="cannot be used") as absent:
        Store.open(database_url, create=False)
    assert isinstance(absent.value.__cause__, FileNotFoundError)
    with pytest.raises(StoreUnavailable):
        Store.open(only_read)
    Store.open(database_url).close()
    store = Store.open(only_read)
    assert await store.read(keys) == set()
    with pytest.raises(StoreUnavailable, match=r"readonly|read-only"):
        await store.transact(lambda db: db.execute(put("a")))
    store.close()


async def test_a_cap_is_never_overshot_by_holds_of_several_processes(store: Store, database_url: str) -> None:
    from tenure.runtime.store import accounts

    holders = [
        await asyncio.create_subprocess_exec(
            sys.executable, HOLDER, database_url, str(number), stdout=asyncio.subprocess.PIPE
        )
        for number in range(3)
    ]
    told = [json.loads((await one.communicate())[0]) for one in holders]
    rows = await store.read(lambda db: accounts.by(db, "agent", 0))
    assert sum(one["held"] for one in told) == 40, "four thousand, a hundred each"
    assert rows[0].calls == 40
    assert min(one["held"] for one in told) > 0, "they were at it at the same time"


# What is Postgres alone


@pytest.mark.parametrize(
    ("told", "becomes"),
    [
        ("SELECT ? , ?", "SELECT $1 , $2"),
        ("SET a = ?, b = ? WHERE c = ?1 AND d = ?4 AND e = ?", "SET a = $1, b = $2 WHERE c = $1 AND d = $4 AND e = $5"),
        ("SELECT '?' || 'it''s ?' || \"a?\", ?", "SELECT '?' || 'it''s ?' || \"a?\", $1"),
        ("WHERE (?2 IS NULL OR a = ?2)", "WHERE ($2::text IS NULL OR a = $2)"),
        ("SELECT CAST(body AS BLOB), user, users FROM t", "SELECT convert_to(body, 'UTF8'), \"user\", users FROM t"),
        ("CREATE TABLE t (a INTEGER) WITHOUT ROWID", "CREATE TABLE t (a BIGINT) "),
        ("a LIKE '%x%'", "a LIKE '%x%'"),
    ],
)
def test_statements_are_written_once_and_read_by_both(told: str, becomes: str) -> None:
    assert translated(told).decode() == becomes


SECRETS = [
    "postgresql://ann:s3cret@h:5432/db",
    "postgresql://ann:s3cret@h/db?sslmode=require&password=s3cret2",
    "postgres:///db?host=/tmp/x&password=s3cret",
    "postgresql://ann:p@s3cret@h/db",
    "postgresql://ann:a/s3cret@h/db",
    "postgresql://ann:1/s3cret@h/db",
    "postgresql://ann:a?s3cret@h/db",
    "postgresql://ann:a#s3cret@h/db",
    "postgres://ann:s3cret@h:port/db",
    "postgresql://ann:s3cret@h/db?nonsense=s3cret",
    "postgress://ann:s3cret@h/db",
    "ann:s3cret@h/db",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_is_never_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.runtime.settings import Settings

    assert "s3cret" not in shown(url).replace("nonsense=s3cret", "")
    assert "s3cret" not in repr(Settings.load({"TENURE_DATABASE_URL": url, "TENURE_HOME": "/x"}))
    with pytest.raises((ConfigError, StoreUnavailable)) as refused:
        Store.open(url.replace("@h", "@127.0.0.1").replace(":5432", ":1").replace("1/db", "1:1/db"))
    told: BaseException | None = refused.value
    assert "s3cret" not in str(told).replace("nonsense=s3cret", "")


def test_a_url_shows_all_but_its_password() -> None:
    assert shown(SECRETS[0]) == "postgresql://ann@h:5432/db"
    assert shown(SECRETS[1]) == "postgresql://ann@h/db?sslmode=require"
    assert shown(SECRETS[2]) == "postgres:///db?host=/tmp/x"
    assert shown("sqlite:///a/b.db?mode=ro") == "sqlite:///a/b.db?mode=ro"


def test_without_a_driver_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(package, "postgres", raising=False)
    monkeypatch.delitem(sys.modules, "tenure.runtime.store.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"-m pip install 'psycopg\[binary\]'"):
        Store.open("postgresql://h/db")


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url()


@pytest.fixture
def pg(url: str):
    made = Store.open(url)
    yield made
    made.close()


async def test_text_is_ordered_by_its_bytes_whatever_the_language_of_the_server(pg: Store) -> None:
    columns = "information_schema.columns WHERE table_schema = current_schema() AND data_type = 'text'"
    asked = f"SELECT collation_name, count(*) FROM {columns} GROUP BY collation_name"
    found = await pg.read(lambda db: [tuple(row) for row in db.execute(asked)])
    assert [name for name, _ in found] == ["C"]


async def test_a_transaction_in_which_a_statement_failed_is_not_taken_for_committed(pg: Store) -> None:
    def swallow(db: Connection) -> str:
        db.execute(put("a"))
        try:
            db.execute(put("a"))
        except StoreUnavailable:
            return "fine"
        return ""

    with pytest.raises(StoreUnavailable, match="nothing is committed"):
        await pg.transact(swallow)
    assert await pg.read(keys) == set()
    await pg.transact(lambda db: db.execute(put("a")))


async def test_a_lost_connection_is_an_error_once_and_then_made_anew(pg: Store, postgres: Postgres) -> None:
    pid = await pg.read(lambda db: db.execute("SELECT pg_backend_pid()").fetchone()[0])
    postgres.say(f"SELECT pg_terminate_backend({pid}, 1000)")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        await pg.transact(lambda db: db.execute(put("a")))
    await pg.transact(lambda db: db.execute(put("b")))
    assert await pg.read(keys) == {"b"}


async def test_a_commit_that_nobody_has_answered_is_a_failure(pg: Store, postgres: Postgres) -> None:
    def cut(db: Connection) -> None:
        db.execute(put("a"))
        postgres.say(f"SELECT pg_terminate_backend({db.execute('SELECT pg_backend_pid()').fetchone()[0]}, 1000)")

    with pytest.raises(StoreUnavailable, match="Whether the transaction was committed is not known"):
        await pg.transact(cut)


async def test_another_s_lock_is_waited_for_and_not_for_ever(pg: Store, url: str) -> None:
    other, held, free = Store.open(url), threading.Event(), threading.Event()

    def hold(db: Connection) -> None:
        held.set()
        free.wait(20)

    holding = asyncio.create_task(other.transact(hold))
    await asyncio.to_thread(held.wait, 10)
    await pg.read(lambda db: db.execute("SET lock_timeout = 100"))
    with pytest.raises(StoreUnavailable, match="lock timeout"):
        await pg.transact(keys)
    assert await pg.read(keys) == set(), "who only looks waits for nobody"
    free.set()
    await holding
    assert await pg.transact(keys) == set()
    other.close()


async def test_a_worker_that_stands_still_inside_a_transaction_loses_it_and_its_lock(pg: Store, url: str) -> None:
    other = Store.open(url)
    await other.read(lambda db: db.execute("SET idle_in_transaction_session_timeout = 200"))

    def stand_still(db: Connection) -> None:
        db.execute(put("a"))
        time.sleep(0.6)
        db.execute(put("b"))

    standing = asyncio.create_task(other.transact(stand_still))
    await asyncio.sleep(0.1)
    assert await pg.transact(keys) == set()
    with pytest.raises(StoreUnavailable):
        await standing
    other.close()


async def test_a_store_that_was_replaced_by_another_is_refused(pg: Store, postgres: Postgres, url: str) -> None:
    pid = await pg.read(lambda db: db.execute("SELECT pg_backend_pid()").fetchone()[0])
    await pg.transact(lambda db: db.execute("UPDATE meta SET value = 'other' WHERE key = 'store_id'"))
    postgres.say(f"SELECT pg_terminate_backend({pid}, 1000)")
    with pytest.raises(StoreUnavailable):
        await pg.read(keys)
    with pytest.raises(StoreMismatch, match="another one was put in its place"):
        await pg.read(keys)


async def test_a_server_that_says_nothing_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.runtime.store import postgres as engine

    store = Store.open(url)
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.2)
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        await store.read(lambda db: db.execute("SELECT pg_sleep(5)"))
    monkeypatch.undo()
    assert await store.transact(keys) == set()
    store.close()
