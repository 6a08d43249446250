"""A span for each request, sent to a collector by OpenTelemetry (OTLP over HTTP), where the setting `traces` names one: verb, status and time, and no words
or names of anybody's."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

from loci import __version__
from loci.errors import Invalid, Unsupported
from loci.server.rest import VERB

PATH = "/v1/traces"  # of OTLP over HTTP, where the address has none
SECONDS = 2.0  # that a sending may take with all its tries: the end of a server waits for the last one
MISTAKE = 500  # from there a status says that it was not the caller's


class Traces:
    """Where spans go. They are sent behind the answers, some at a time; a collector that is not there costs its spans and nothing else."""

    def __init__(self, url: str) -> None:
        """Raises `Invalid` for an address that is none, `Unsupported` where the packages are missing."""
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise Invalid(f"traces is {url!r:.100}; it must be the address of a collector, such as http://127.0.0.1:4318.")
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise Unsupported(f"Traces need what is not installed ({error}): pip install 'loci-memos[otel]', or unset traces.") from error
        self._provider = TracerProvider(resource=Resource({"service.name": "loci", "service.version": __version__}), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(url if place.path.strip("/") else url.rstrip("/") + PATH, timeout=SECONDS))
        )
        self._tracer, self._trace, self._caller = self._provider.get_tracer("loci"), trace, TraceContextTextMapPropagator()

    def done(self, scope: Scope, status: int, began: int, ended: int) -> None:
        """A request was answered. Times are nanoseconds since 1970; a caller that traces too finds it in its own trace."""
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
        verb = scope.get(VERB) or "none"
        span = self._tracer.start_span(
            verb, self._caller.extract({"traceparent": parent}), self._trace.SpanKind.SERVER, start_time=began,
            attributes={"loci.verb": verb, "http.request.method": scope["method"], "http.response.status_code": status},
        )  # fmt: skip
        if status >= MISTAKE or not status:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()
