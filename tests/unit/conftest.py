"""Clients for the tests of the stand-in."""

from collections.abc import AsyncIterator

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic

from tests.unit.asking import Ask, created, streamed


@pytest.fixture
async def client() -> AsyncIterator[AsyncAnthropic]:
    # verify=False: loading certificates, which plain HTTP never needs, would be most of the time of these tests.
    http = anthropic.DefaultAsyncHttpxClient(verify=False)
    async with AsyncAnthropic(api_key="any", max_retries=0, http_client=http) as client:
        yield client


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(headers={"x-api-key": "any"}, verify=False) as http:
        yield http


@pytest.fixture(params=[created, streamed])
def ask(request: pytest.FixtureRequest) -> Ask:
    """The same question without and with a stream."""
    return request.param  # pyright: ignore[reportUnknownVariableType]  pytest does not say what a param is
