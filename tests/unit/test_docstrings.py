"""A docstring tells Claude what the tool does and what each parameter means, in whichever style it is written."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import pytest
from pydantic import Field

from tenure.errors import ConfigError
from tenure.tools import Tool

STYLES = {
    "google": """Find a place.

        Looks it up
        in the atlas.

        Args:
            city (str): which city,
                in full
            n: how many: at most 5
            x: left and right
            y: left and right

        Returns:
            The place.

        Raises:
            ValueError: never
        """,
    "numpy": """Find a place.

        Looks it up
        in the atlas.

        Parameters
        ----------
        city : str
            which city,
            in full
        n : int, optional
            how many: at most 5
        x, y : int
            left and right

        Returns
        -------
        str
            The place.
        """,
    "sphinx": """Find a place.

        Looks it up
        in the atlas.

        :param city: which city,
            in full
        :type city: str
        :param int n: how many: at most 5
        :param x: left and right
        :param y: left and right
        :returns: The place.
        :raises ValueError: never
        """,
    "epydoc": """Find a place.

        Looks it up
        in the atlas.

        @param city: which city,
            in full
        @type city: str
        @param n: how many: at most 5
        @param x: left and right
        @param y: left and right
        @return: The place.
        """,
}


@pytest.mark.parametrize("style", STYLES)
def test_a_docstring_of_each_style_describes_the_tool_and_its_parameters(style: str) -> None:
    def find(city: str, n: int = 5, x: int = 0, y: int = 0) -> str:
        return city * n

    find.__doc__ = STYLES[style]
    made = Tool(find)
    told = {key: one["description"] for key, one in made.manifest["input_schema"]["properties"].items()}
    assert made.description == "Find a place.\n\nLooks it up\nin the atlas."
    sides = "left and right"
    assert told == {"city": "which city,\nin full", "n": "how many: at most 5", "x": sides, "y": sides}


@pytest.mark.parametrize(
    ("doc", "description"),
    [
        (None, ""),
        ("", ""),
        ("One line.", "One line."),
        ("One.\n\n    - a: b\n    - c\n", "One.\n\n- a: b\n- c"),
        ("Convert.\n\n:class:`Path` is what\n\nit takes.", "Convert.\n\n:class:`Path` is what\n\nit takes."),
        ("Say.\n\nExample:\n    say(1)", "Say.\n\nExample:\n    say(1)"),
        ("Say.\n\nArgs:\n    x: what\n", "Say."),
        (":param x: what", ""),
        (":\t::", ":\t::".expandtabs()),  # docstring_parser raises IndexError
        ("Say.\n\n:param x\nno colon", "Say.\n\n:param x\nno colon"),
    ],
)
def test_a_docstring_without_sections_is_the_description_as_it_stands(doc: str | None, description: str) -> None:
    def say(x: int) -> None: ...

    say.__doc__ = doc
    assert Tool(say).description == description


def test_what_a_hint_says_of_itself_outdoes_the_docstring() -> None:
    def say(
        x: Annotated[int, Field(description="of the hint")], y: int = Field(3, description="of the default")
    ) -> None:
        """Say.

        Args:
            x: of the docstring
            y: of the docstring
        """

    told = Tool(say).manifest["input_schema"]["properties"]
    assert (told["x"]["description"], told["y"]["description"]) == ("of the hint", "of the default")


def test_a_misspelt_parameter_in_the_docstring_is_named_and_other_words_are_let_be() -> None:
    def find(customer_id: str, unit: str = "c") -> None: ...

    find.__doc__ = "Find.\n\nArgs:\n    custmer_id: whose\n    unit: which"
    with pytest.raises(ConfigError, match=r"tool 'find': its docstring describes 'custmer_id'.*'customer_id'"):
        Tool(find)
    for fine in ("customer_id: whose\n    customer_ids: gone", "nothing: of the kind", "unit: only"):
        find.__doc__ = f"Find.\n\nArgs:\n    {fine}"
        Tool(find)


def test_a_parameter_that_is_described_but_already_given_is_no_misspelling() -> None:
    def find(unit: str, units: str) -> None:
        """Find.

        Args:
            units: all of them
        """

    Tool(partial(find, units="cf"), name="find")
