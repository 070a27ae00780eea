"""Prices: a file of the operator's goes before the price table, is read whole or refused, and stands in every charge."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import ConfigError
from tenure.runtime.prices import Price, Prices, table_version
from tenure.turn import Usage

SONNET, HAIKU, OWN = "claude-sonnet-5-5", "claude-haiku-5-5", "our-own-model"
MILLION = Usage(input=1_000_000)
TOML = """
[claude-sonnet-5-5]
input = "2.40"
output = 12
cache_read = 0.12
cache_write = "3"

[our-own-model]
input = 0.5
output = 1
"""
TOKENS = st.integers(0, 10**9)


def file(folder: Path, text: str, name: str = "prices.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_file_overrides_a_price_of_the_table(tmp_path: Path) -> None:
    prices = Prices.load(file(tmp_path, TOML))
    assert Prices().cost_of(SONNET, MILLION) == 2_000_000
    assert prices.cost_of(SONNET, MILLION) == 2_400_000
    assert prices.cost_of(SONNET, Usage(output=1_000_000)) == 12_000_000
    assert prices.cost_of(SONNET, Usage(cache_read=1_000_000)) == 120_000
    assert prices.cost_of(SONNET, Usage(cache_write=1_000_000)) == 3_000_000


def test_the_file_adds_a_model_that_the_table_does_not_know(tmp_path: Path) -> None:
    assert Prices.load(file(tmp_path, TOML)).cost_of(OWN, Usage(input=3, output=5)) == 7  # 1.5 + 5, rounded up


def test_a_model_that_the_file_does_not_name_costs_what_the_table_says(tmp_path: Path) -> None:
    assert Prices.load(file(tmp_path, TOML)).cost_of(HAIKU, MILLION) == Prices().cost_of(HAIKU, MILLION) > 0


def test_json_says_the_same(tmp_path: Path) -> None:
    told = {
        SONNET: {"input": "2.40", "output": 12, "cache_read": 0.12, "cache_write": "3"},
        OWN: {"input": 0.5, "output": 1},
    }
    assert Prices.load(file(tmp_path, json.dumps(told), "prices.json")).own == Prices.load(file(tmp_path, TOML)).own


def test_what_is_not_said_of_the_cache_is_what_no_call_can_exceed(tmp_path: Path) -> None:
    own = Prices.load(file(tmp_path, TOML)).own[OWN]
    assert (own.cache_read, own.cache_write) == (own.input, own.input * 5 // 4)


def test_a_charge_says_which_file_it_was_counted_with(tmp_path: Path) -> None:
    digest = hashlib.sha256(TOML.encode()).hexdigest()[:8]
    assert Prices.load(file(tmp_path, TOML)).version == f"{table_version()} + file sha256:{digest}"
    assert Prices.load(None).version == table_version()
    assert re.fullmatch(r"genai-prices [\d.]+", table_version())


def test_a_price_is_exact_however_many_tokens_there_are(tmp_path: Path) -> None:
    prices = Prices.load(file(tmp_path, f'[{OWN}]\ninput = "0.1"\noutput = "0.000001"\n'))
    assert prices.cost_of(OWN, Usage(input=10)) == 1
    assert prices.cost_of(OWN, Usage(input=11)) == 2
    assert prices.cost_of(OWN, Usage(output=1)) == 1
    assert prices.cost_of(OWN, Usage(input=10**15)) == 10**14


@given(prices=st.tuples(*[st.integers(0, 10**8)] * 4), used=st.tuples(TOKENS, TOKENS, TOKENS, TOKENS))
def test_what_is_held_is_never_less_than_what_a_call_costs(
    prices: tuple[int, int, int, int], used: tuple[int, int, int, int]
) -> None:
    price, (plain, output, read, written) = Price(*prices), used
    cost = price.of(Usage(input=plain, output=output, cache_read=read, cache_write=written))
    assert cost <= price.at_most(plain + read + written, output)


def test_what_is_held_by_the_table_is_never_less_either() -> None:
    for used in (Usage(input=1000, output=9), Usage(cache_read=1000, output=9), Usage(cache_write=1000, output=9)):
        assert Prices().cost_of(SONNET, used) <= Prices().at_most(SONNET, 1000, 9)


def test_a_model_without_a_price_stays_refused_and_the_error_names_the_file_as_a_fix(tmp_path: Path) -> None:
    for prices in (Prices(), Prices.load(file(tmp_path, TOML))):
        with pytest.raises(ConfigError, match=r"'claude-nothing' has no price.*in a file that TENURE_PRICES names"):
            prices.cost_of("claude-nothing", Usage())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[m]\ninput = 1\n", "m.output: missing"),
        ("[m]\noutput = 1\n", "m.input: missing"),
        ("[m]\ninput = 1\noutput = -1\n", "m.output=-1: must be dollars for a million tokens"),
        ("[m]\ninput = 1\noutput = nan\n", "m.output=NaN: must be dollars"),
        ("[m]\ninput = inf\noutput = 1\n", "m.input=Infinity: must be dollars"),
        ("[m]\ninput = '1e99'\noutput = 1\n", "m.input='1e99': must be dollars"),
        ("[m]\ninput = 'cheap'\noutput = 1\n", "m.input='cheap': must be dollars"),
        ("[m]\ninput = true\noutput = 1\n", "m.input=True: must be dollars"),
        ("[m]\ninput = [1]\noutput = 1\n", "m.input=[1]: must be dollars"),
        ("[m]\ninput = 0.0000001\noutput = 1\n", "no finer than a millionth of a dollar"),
        ("[m]\ninput = 1\noutput = 1\ncache_reed = 1\n", "m.cache_reed=1: there is no such price: did you mean 'cache_read'?"),
        ("[m]\ninput = 1\noutput = 1\nper = 1\n", "m.per=1: there is no such price: there are input, output"),
        ("m = 3\n", "m=3: must be a table with input and output"),
        ("", "must hold a table for each model"),
        ("[m\n", "cannot be read as TOML"),
        ("[m]\ninput = 1\ninput = 2\n", "cannot be read as TOML"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_is_refused_naming_file_model_and_field(
    tmp_path: Path, text: str, said: str
) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        Prices.load(path)
    assert str(refused.value).startswith(f"TENURE_PRICES={str(path)!r}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"m": {"input": 1, "output": NaN}}', "m.output=NaN: must be dollars"),
        ('{"m": {"input": 1, "input": 2, "output": 1}}', "'input' is written twice"),
        ('{"m": {"input": null, "output": 1}}', "m.input=None: must be dollars"),
        ('["m"]', "must hold a table for each model"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_so_is_one_in_json(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        Prices.load(file(tmp_path, text, "prices.json"))


def test_a_file_that_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory: name a file that can be read"):
        Prices.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"must end in \.toml or \.json"):
        Prices.load(file(tmp_path, TOML, "prices.yaml"))
