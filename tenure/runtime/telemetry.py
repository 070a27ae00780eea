"""OpenTelemetry: the names of spans and attributes (GenAI semantic conventions), and how a run's spans form one trace.

The activities of one run happen in different processes, so the ids of its trace and of its root span are derived from the
workflow id: every span of the run joins the same trace without anything being handed around.
"""

from __future__ import annotations

import contextvars
import hashlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

AGENT = "gen_ai.agent.name"
OPERATION = "gen_ai.operation.name"
MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_creation.input_tokens"
TOOL = "gen_ai.tool.name"
CONVERSATION = "gen_ai.conversation.id"
COST = "tenure.cost.micro_usd"
TENANT = "tenure.tenant"
STOP = "tenure.stop_reason"
STATUS = "tenure.status"
OUTCOME = "tenure.tool.outcome"
CACHED = "tenure.tool.cached"
CACHED_AGE = "tenure.tool.cached.age_ms"
REQUEST = "tenure.request.id"
CHOICE = "tenure.request.choice"

Attributes: TypeAlias = Mapping[str, str | int | float | bool]
_root: contextvars.ContextVar[tuple[int, int] | None] = contextvars.ContextVar("tenure_root_span", default=None)


class RunIds(RandomIdGenerator):
    """Ids for a TracerProvider of ours: random, except for the root span of a run."""

    def generate_trace_id(self) -> int:
        """The run's own trace id while its root span is being made."""
        root = _root.get()
        return root[0] if root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """The run's own span id while its root span is being made."""
        root = _root.get()
        return root[1] if root else super().generate_span_id()


def provider(exporter: SpanProcessor) -> TracerProvider:
    """A TracerProvider whose runs are whole trees; hand it to `trace.set_tracer_provider`, or to `embedded`."""
    made = TracerProvider(resource=Resource.create({"service.name": "tenure"}), id_generator=RunIds())
    made.add_span_processor(exporter)
    return made


def tracer() -> trace.Tracer:
    """The tracer of the process-wide provider; without one its spans cost next to nothing."""
    return trace.get_tracer("tenure")


@contextmanager
def span(name: str, run: str, carrier: Mapping[str, str], attributes: Attributes) -> Generator[trace.Span]:
    """A span under the run's root span."""
    parent = trace.NonRecordingSpan(_context(run, carrier))
    with tracer().start_as_current_span(name, trace.set_span_in_context(parent), attributes=dict(attributes)) as made:
        yield made


def event(name: str, attributes: Attributes) -> None:
    """An event on the span that is open here; where none is, on one of its own, of the same name."""
    here = trace.get_current_span()
    if here.is_recording():
        here.add_event(name, dict(attributes))
        return
    with tracer().start_as_current_span(name, attributes=dict(attributes)) as own:
        own.add_event(name, dict(attributes))


def past(name: str, run: str, carrier: Mapping[str, str], times: tuple[int, int], attributes: Attributes) -> None:
    """A span under the run's root for something that is over: `times` are its start and end in milliseconds."""
    parent = trace.set_span_in_context(trace.NonRecordingSpan(_context(run, carrier)))
    _emit(name, parent, times, attributes)


def root(name: str, run: str, carrier: Mapping[str, str], times: tuple[int, int], attributes: Attributes) -> None:
    """The run's root span, made when the run is over."""
    context = _context(run, carrier)
    token = _root.set((context.trace_id, context.span_id))
    try:
        parent = (
            TraceContextTextMapPropagator().extract(carrier)
            if carrier
            else trace.set_span_in_context(trace.INVALID_SPAN)
        )
        _emit(name, parent, times, attributes)
    finally:
        _root.reset(token)


def _emit(name: str, parent: object, times: tuple[int, int], attributes: Attributes) -> None:
    begun, ended = (moment * 1_000_000 for moment in times)
    made = tracer().start_span(name, parent, attributes=dict(attributes), start_time=begun)  # pyright: ignore[reportArgumentType]  # Context has no public class
    made.end(ended)


def carrier() -> dict[str, str]:
    """The caller's own trace context, to travel with the request."""
    found: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(found)
    return found


def _context(run: str, carrier: Mapping[str, str]) -> trace.SpanContext:
    digest = hashlib.sha256(run.encode()).digest()
    trace_id = int.from_bytes(digest[:16], "big")
    if carrier:
        caller = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
        trace_id = caller.trace_id or trace_id
    span_id = int.from_bytes(digest[16:24], "big")
    return trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED))
