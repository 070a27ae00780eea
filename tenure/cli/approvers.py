"""`approvers`: who may answer, entered by statements that the root key signs, and withdrawn at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from tenure.errors import AnswerRefused, BadInput, ConfigError, NotFound

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from tenure.approvals.approvers import Approver
    from tenure.runtime.settings import Settings
    from tenure.runtime.store import Connection
    from tenure.runtime.store.approvers import Registered
    from tenure.wire import JsonObject

T = TypeVar("T")
FILE = click.Path(path_type=Path)
COLUMNS = ("name", "tenant", "roles", "gateway", "since", "revoked")


@click.group(invoke_without_command=True)
@click.pass_context
def approvers(context: click.Context) -> None:
    """Who may answer what agents ask."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@approvers.command()
@click.argument("name")
@click.option("--key", metavar="BASE64URL", help="Their public key: 32 bytes in base64url.")
@click.option("--key-file", type=FILE, metavar="PEM", help="The file that holds their key.")
@click.option("--no-key", "keyless", is_flag=True, help="They answer through a gateway only.")
@click.option("--tenant", default="*", show_default=True, help="The tenant they may answer for; `*` means all.")
@click.option("--role", "roles", multiple=True, help="What they are vouched for as; once for each; `*` means all.")
@click.option("--gateway", is_flag=True, help="It signs for people it has authenticated, never for itself.")
@click.option("--root", type=FILE, metavar="FILE", help="The root's private key, where it is not in the keys folder.")
@click.option("--print", "only_print", is_flag=True, help="Print the signed statement, and write nothing.")
@click.option("--statement", metavar="TOKEN", help="Register a statement that was signed elsewhere.")
@click.option("--replace", is_flag=True, help="Put this key in the place of the one NAME has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def add(
    name: str, key: str | None, key_file: Path | None, keyless: bool, tenant: str, roles: tuple[str, ...], gateway: bool,
    root: Path | None, only_print: bool, statement: str | None, replace: bool, as_json: bool,
) -> None:  # fmt: skip
    """Let NAME answer. Without a key one is made in the keys folder of this installation."""
    from tenure.approvals.approvers import Approver
    from tenure.cli.connection import perform

    given = sum((key is not None, key_file is not None, keyless))
    more = (given, tenant != "*", roles, gateway, root, only_print)
    if given > 1 or (statement is not None and any(more)):
        raise click.UsageError(
            "--key, --key-file, --no-key or --statement: one of them, and nothing beside --statement"
        )
    if statement is not None:
        perform(_register(name, statement, replace, as_json))
        return
    wanted = Approver(
        principal=name, key=_public(key, key_file), tenant=tenant, roles=list(dict.fromkeys(roles)), gateway=gateway
    )
    if only_print:
        _print_statement(wanted, given == 0, root, as_json)
    else:
        perform(_add(wanted, given == 0, root, replace, as_json))


@approvers.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(as_json: bool) -> None:
    """List everybody who may answer, or once might."""
    from tenure.cli.connection import perform

    perform(_list(as_json))


@approvers.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def revoke(name: str, reason: str, as_json: bool) -> None:
    """Withdraw NAME at once.

    Nothing they sign counts any more, and what they approved is asked again if it was not made yet.
    """
    from tenure.cli.connection import perform

    perform(_revoke(name, reason, as_json))


async def _add(wanted: Approver, makes_key: bool, root: Path | None, replace: bool, as_json: bool) -> None:
    """Sign and register. A key that is made for it stays only if that succeeds."""
    from tenure.approvals.approvers import checked, encode_key
    from tenure.cli.connection import who
    from tenure.runtime import approving, keys

    settings, made = _settings(), None
    signing, at, by = _signing_key(settings, root), _now(), who() or "cli"
    _check_root(settings, signing.public_key())
    if makes_key:
        checked(wanted.model_copy(update={"gateway": False}))  # a name nobody may have must not become a file
        own = keys.make(settings.home / "keys", wanted.principal)
        made = keys.path_of(settings.home / "keys", wanted.principal)
        wanted = wanted.model_copy(update={"key": encode_key(own.public_key())})
    try:
        new = await _transacted(
            settings, lambda db: approving.enter(db, signing, wanted, at, by, replace=replace), create=True
        )
    except BaseException:
        if made is not None:
            made.unlink()
        raise
    _tell_added(new, made, as_json)


async def _register(name: str, statement: str, replace: bool, as_json: bool) -> None:
    from tenure.approvals.approvers import vouched
    from tenure.cli.connection import who
    from tenure.runtime import approving

    settings = _settings()
    root, at, by = _root(settings), _now(), who() or "cli"
    try:
        told = vouched(statement, root).principal
    except AnswerRefused as error:
        raise BadInput(f"--statement {statement!r:.40} is not signed by TENURE_APPROVER_ROOT={_shown(root)}") from error
    if told != name:
        raise BadInput(f"the statement is about {told!r}, not about {name!r}")
    new = await _transacted(
        settings, lambda db: approving.register(db, root, statement, at, by, replace=replace), create=True
    )
    _tell_added(new, None, as_json)


def _print_statement(wanted: Approver, makes_key: bool, root: Path | None, as_json: bool) -> None:
    """For a root key that never sees the store: what is printed here is registered there."""
    from tenure.approvals.approvers import vouch
    from tenure.cli import render

    if makes_key:
        raise BadInput("--print writes nothing, so no key can be made: give --key, --key-file or --no-key")
    signing = _signing_key(_settings(), root)
    told = wanted.model_copy(update={"issued": _now() // 1000})
    statement = vouch(told, signing)
    if as_json:
        render.document({**told.model_dump(mode="json"), "statement": statement, "root": _shown(signing.public_key())})
        return
    click.echo(statement)
    click.echo(f"tenure: signed by the root {_shown(signing.public_key())}; register it with", err=True)
    click.echo(f"tenure: `tenure approvers add {told.principal} --statement TOKEN`", err=True)


async def _list(as_json: bool) -> None:
    from tenure.cli import render
    from tenure.runtime.store import Store, approvers

    settings = _settings()
    root = _root(settings)
    store = Store.open(settings.database_url, create=False)
    try:
        rows = await store.read(approvers.every)
    finally:
        store.close()
    found = [_document(row, root) for row in rows]
    if as_json:
        render.document(found)
    elif not found:
        click.echo("nobody may answer: `tenure approvers add NAME`")
    else:
        render.put(render.console(), render.listing(COLUMNS, [_cells(one) for one in found], cut=(0, 1, 2)))
        for one in found:
            if one["invalid"]:
                click.echo(f"{one['name']}: {one['invalid']}")


async def _revoke(name: str, reason: str, as_json: bool) -> None:
    from tenure.approvals.approvers import decode_key
    from tenure.cli import render
    from tenure.cli.connection import who
    from tenure.runtime import approving

    settings = _settings()
    # Withdrawing somebody must not wait for anybody to find the root.
    root, at, by = decode_key(settings.approver_root) if settings.approver_root else None, _now(), who() or "cli"
    fence = await _transacted(settings, lambda db: approving.revoke(db, root, name, reason, by, at))
    if as_json:
        render.document({"name": name, "revoked_at": at, "reason": reason, "by": by, "fence": fence})
        return
    click.echo(f"{name} is revoked: nothing they sign counts any more,")
    click.echo("and what they approved is asked again if it was not made yet")


async def _transacted(settings: Settings, work: Callable[[Connection], T], *, create: bool = False) -> T:
    """With `create` the store is made where there is none: a worker serves only once somebody may answer."""
    from tenure.runtime.store import Store

    store = Store.open(settings.database_url, create=create)
    try:
        return await store.transact(work)
    finally:
        store.close()


def _settings() -> Settings:
    from tenure.runtime.settings import Settings

    return Settings.load()


def _public(key: str | None, key_file: Path | None) -> str:
    from tenure.approvals.approvers import decode_key, encode_key
    from tenure.runtime import keys

    if key_file is not None:
        return encode_key(keys.read_public(key_file))
    return encode_key(decode_key(key)) if key is not None else ""


def _signing_key(settings: Settings, file: Path | None) -> Ed25519PrivateKey:
    from tenure.approvals.approvers import ROOT
    from tenure.runtime import keys

    path = file or keys.path_of(settings.home / "keys", ROOT)
    if file is None and not path.is_file():
        raise NotFound(
            f"no root key at {path}: name it with --root FILE; or sign where it is with --print, and bring the statement "
            "here with --statement"
        )
    return keys.read(path)


def _root(settings: Settings) -> Ed25519PublicKey:
    from tenure.approvals.approvers import decode_key

    if not settings.approver_root:
        raise ConfigError("no approver root: set TENURE_APPROVER_ROOT to the public key that vouches for approvers")
    return decode_key(settings.approver_root)


def _check_root(settings: Settings, signing: Ed25519PublicKey) -> None:
    if settings.approver_root and _shown(_root(settings)) == _shown(signing):
        return
    told = f"{settings.approver_root!r}" if settings.approver_root else "not set"
    raise ConfigError(
        f"the root key that would sign is {_shown(signing)}, and TENURE_APPROVER_ROOT is {told}: "
        "set it to that one, here and for the workers, or name another root with --root FILE"
    )


def _shown(key: Ed25519PublicKey) -> str:
    from tenure.approvals.approvers import encode_key

    return encode_key(key)


def _tell_added(new: Approver, made: Path | None, as_json: bool) -> None:
    from tenure.cli import render

    if as_json:
        render.document({**new.model_dump(mode="json"), "key_file": made and str(made)})
        return
    rows = [("tenant", "all" if new.tenant == "*" else new.tenant)]
    rows += [] if new.gateway else [("roles", _roles(new))]
    rows.append(("key", new.key or "none: they answer through a gateway"))
    rows += [("file", f"{made}: made now, nobody else should have it")] if made else []
    does = "signs for people it has authenticated" if new.gateway else "may answer"
    click.echo(f"{new.principal} {does}")
    render.put(render.console(), render.pairs(rows))


def _roles(approver: Approver) -> str:
    return "all" if "*" in approver.roles else ", ".join(approver.roles) or "none"


def _document(row: Registered, root: Ed25519PublicKey) -> JsonObject:
    from tenure.runtime import approving

    told: JsonObject = {"name": row.principal, "since": row.added_at, "revoked_at": row.revoked_at, "invalid": ""}
    try:
        return {**told, **approving.standing(row, root).model_dump(mode="json", exclude={"principal"})}
    except AnswerRefused as error:
        return {**told, "invalid": f"INVALID: {error}"}


def _cells(one: JsonObject) -> tuple[str, ...]:
    from tenure.cli import render

    since, revoked = render.moment(one["since"])[:10], one["revoked_at"]
    ended = render.moment(revoked)[:10] if revoked else ""
    if one["invalid"]:
        return one["name"], "", "", "", since, ended or "INVALID"
    roles = "all" if "*" in one["roles"] else ", ".join(one["roles"])
    gateway = "is one" if one["gateway"] else "" if one["key"] else "needs one"
    return one["name"], "all" if one["tenant"] == "*" else one["tenant"], roles, gateway, since, ended


def _now() -> int:
    return round(time.time() * 1000)
