"""`tenure approvers`: what one types to let somebody answer, to see who may, and to withdraw them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tenure.runtime import keys
from tenure.runtime.store import Store, approvers
from tests.typing_commands import at


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation whose root key lies in its keys folder."""
    keys.make_local(tmp_path / "keys")
    return tmp_path


async def test_somebody_new_gets_a_key_of_their_own(home: Path) -> None:
    tenure = at(home)
    told = await tenure("approvers", "add", "bob", "--role", "finance", "--role", "legal", "--tenant", "acme")
    assert told.exit_code == 0
    assert told.stdout.startswith("bob may answer\n  tenant  acme\n  roles   finance, legal\n  key     ")
    assert f"{home}/keys/bob.pem" in told.stdout.replace("\n          ", "")
    assert (home / "keys" / "bob.pem").stat().st_mode & 0o777 == 0o600
    (listed,) = json.loads((await tenure("approvers", "list", "--json")).stdout)
    assert (listed["name"], listed["tenant"], listed["roles"]) == ("bob", "acme", ["finance", "legal"])
    assert (listed["gateway"], listed["revoked_at"], listed["invalid"]) == (False, None, "")


async def test_the_list_hides_nobody(home: Path) -> None:
    tenure = at(home)
    for words in ("bob --role finance", "web --gateway", "zoe --no-key", "gone"):
        assert (await tenure("approvers", "add", *words.split())).exit_code == 0
    assert (await tenure("approvers", "revoke", "gone")).exit_code == 0
    store = Store.open(f"sqlite://{home}/tenure.db")
    await store.transact(lambda db: approvers.add(db, "mallory", "a.b.c", 1))
    store.close()
    listed = (await tenure("approvers", "list")).stdout
    assert [" ".join(re.sub(r"\d{4}-\d\d-\d\d", "DAY", line).split()) for line in listed.splitlines()] == [
        "name tenant roles gateway since revoked",
        "bob all finance DAY",
        "gone all DAY DAY",
        "mallory DAY INVALID",
        "web all is one DAY",
        "zoe all needs one DAY",
        "mallory: INVALID: the registry entry is not signed by the root key of this worker",
    ]


async def test_a_statement_signed_where_the_root_is_can_be_registered_where_it_is_not(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here, root = at(tmp_path_factory.mktemp("here")), (home / "keys" / "root.pub").read_text().strip()
    there = at(tmp_path_factory.mktemp("there"), TENURE_APPROVER_ROOT=root)
    pem = ["--key-file", f"{home}/keys/operator.pem"]
    printed = await here("approvers", "add", "bob", *pem, "--root", f"{home}/keys/root.pem", "--print")
    statement = printed.stdout.strip()
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", statement)
    assert root in printed.stderr
    assert (await there("approvers", "add", "bob", "--statement", statement)).exit_code == 0
    assert (await there("approvers", "revoke", "bob")).exit_code == 0
    again = await there("approvers", "add", "bob", "--statement", statement)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "'bob' was revoked after this statement was issued, so it does not come back: sign a new one" in again.stderr
    other = await there("approvers", "add", "carol", "--statement", statement)
    assert other.stderr == "tenure: the statement is about 'bob', not about 'carol'\n"
    forged = statement[:-8] + ("A" * 8)
    assert (
        "is not signed by TENURE_APPROVER_ROOT"
        in (await there("approvers", "add", "bob", "--statement", forged)).stderr
    )


async def test_somebody_who_was_revoked_is_added_again_on_purpose(home: Path) -> None:
    tenure = at(home)
    pem = ["--key-file", f"{home}/keys/bob.pem"]
    await tenure("approvers", "add", "bob")
    revoked = json.loads((await tenure("approvers", "revoke", "bob", "--reason", "lost", "--json")).stdout)
    assert (revoked["name"], revoked["reason"], revoked["fence"]) == ("bob", "lost", 1)
    by_accident = await tenure("approvers", "add", "bob")
    assert "bob.pem is there already: vouch for it with --key-file" in by_accident.stderr
    assert json.loads((await tenure("approvers", "add", "bob", *pem, "--json")).stdout)["principal"] == "bob"
    (listed,) = json.loads((await tenure("approvers", "list", "--json")).stdout)
    assert listed["revoked_at"] is None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("add Bob", "principal 'Bob': must match"),
        ("add ../bob", "principal '../bob': must match"),
        ("add root", "'root' is the root key's own name"),
        ("add bob --role fin,ance", "role 'fin,ance': must be a word or words, without blanks around it or commas"),
        ("add bob --tenant a/b", "tenant 'a/b': must match"),
        ("add bob --key abc", "'abc' is no Ed25519 public key: 32 bytes in base64url are wanted"),
        ("add bob --key-file nowhere.pem", "no key at nowhere.pem: No such file or directory"),
        ("add bob --no-key --gateway", "gateway 'bob' has no key"),
        ("add bob --key abc --no-key", "one of them, and nothing beside --statement"),
        ("add bob --statement a.b.c --role x", "one of them, and nothing beside --statement"),
        ("add bob --statement a.b.c", "--statement 'a.b.c' is not signed by TENURE_APPROVER_ROOT="),
        ("add bob --print", "--print writes nothing, so no key can be made"),
        ("add bob --root nowhere.pem", "no key at nowhere.pem"),
        ("add bob --root {home}/keys/operator.pem", "the root key that would sign is"),
        ("add carol --key-file {home}/keys/taken.pem", "the key of 'carol' is the key of 'taken' already"),
        ("add taken --key-file {home}/keys/operator.pem", "'taken' is registered with another key already: --replace"),
        ("add other", "'other' is registered with another key already: --replace"),
        ("revoke bob", "no approver 'bob': there are other, taken"),
    ],
)
async def test_a_mistake_is_one_line_and_changes_nothing(home: Path, typed: str, said: str) -> None:
    tenure = at(home)
    await tenure("approvers", "add", "taken")
    await tenure("approvers", "add", "other", "--key-file", f"{home}/keys/reviewer.pem")
    before = (await tenure("approvers", "list", "--json")).stdout
    told = await tenure("approvers", *typed.format(home=home).split())
    assert (told.exit_code, told.stdout) == (2, "")
    assert said in told.stderr
    assert re.fullmatch(r"tenure: .*\n", told.stderr)
    assert (await tenure("approvers", "list", "--json")).stdout == before
    assert {file.stem for file in (home / "keys").glob("*.pem")} == {"root", "operator", "reviewer", "taken"}


async def test_without_the_root_s_private_key_it_says_how_to_do_without(tmp_path: Path) -> None:
    told = await at(tmp_path)("approvers", "add", "bob")
    assert told.exit_code == 2
    assert "name it with --root FILE; or sign where it is with --print" in told.stderr
    assert not any(os.scandir(tmp_path))
