"""OpenTelemetry's exporters for Python, over gRPC and over HTTP in protobuf."""

import logging

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (BatchLogRecordProcessor, LogRecordExporter,
                                            LogRecordExportResult)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context
from grpc import Compression as GrpcCompression

TIME_NS = 1_772_615_411_123_456_789
FORMS = ["grpc", "grpc, gzip", "http", "http, gzip"]


def exporter(server, form):
    is_packed = form.endswith("gzip")
    if form.startswith("grpc"):
        compression = GrpcCompression.Gzip if is_packed else GrpcCompression.NoCompression
        return GrpcExporter(endpoint=server.grpc, insecure=True, compression=compression, timeout=20)
    compression = Compression.Gzip if is_packed else Compression.NoCompression
    return HttpExporter(endpoint=f"{server.url}/v1/logs", compression=compression, timeout=20)


class Kept(LogRecordExporter):
    """An exporter that remembers what it sent, and what came of it."""

    def __init__(self, exporter):
        self.exporter, self.batches, self.results = exporter, [], []

    def export(self, batch):
        self.batches.append(list(batch))
        self.results.append(self.exporter.export(batch))
        return self.results[-1]

    def shutdown(self):
        self.exporter.shutdown()

    def force_flush(self, timeout_millis=20_000):
        return self.exporter.force_flush(timeout_millis)

    def sent(self):
        """The bytes of each log record."""
        requests = [encode_logs(batch) for batch in self.batches]
        return [record.SerializeToString() for request in requests
                for resource in request.resource_logs for scope in resource.scope_logs
                for record in scope.log_records]


def emit(kept, records):
    """Sends records as an application does: through a logger and a processor that makes batches."""
    resource = Resource({"service.namespace": "shop", "service.name": "billing"})
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(kept))
    logger = provider.get_logger("billing.audit", "1.4")
    for record in records:
        logger.emit(record)
    provider.force_flush()
    provider.shutdown()


def record(uid, name="invoice.updated", **more):
    attributes = {"log.record.uid": uid, "user.id": "u-17", "user.name": "Ana", "user.roles": ["ops"],
                  "client.address": "192.0.2.7", "audit.outcome": "denied", "audit.category": "data",
                  "audit.operation": "update", "audit.target.type": "invoice",
                  "audit.target.id": "4711", "amount": 9_007_199_254_740_993}
    body = f"ana changed invoice {uid}"
    return LogRecord(timestamp=TIME_NS, observed_timestamp=TIME_NS + 5, event_name=name, body=body,
                     severity_number=SeverityNumber.WARN, attributes=attributes | more)


@pytest.mark.parametrize("form", FORMS)
def test_every_record_is_taken_once_with_its_bytes(server, form):
    kept = Kept(exporter(server, form))
    emit(kept, [record(f"uid-{at}") for at in range(700)])
    assert set(kept.results) == {LogRecordExportResult.SUCCESS}
    taken = server.taken()
    assert [it["raw"] for it in taken] == kept.sent()
    assert [it["id"] for it in taken] == [f"uid-{at}" for at in range(700)]
    assert not server.malformed()


def test_a_record_fills_an_event(server):
    kept = Kept(exporter(server, "grpc"))
    span = SpanContext(trace_id=0x5B8EFFF798038103D269B633813FC60C, span_id=0xEEE19B7EC3C1B174,
                       is_remote=False)
    one = record("uid-1")
    one.trace_id, one.span_id = span.trace_id, span.span_id
    one.context = set_span_in_context(NonRecordingSpan(span))
    emit(kept, [one])
    [event] = server.taken()
    assert event["source"] == "shop/billing"
    assert event["time"] == "2026-03-04T09:10:11.123456789Z"
    assert (event["action"], event["outcome"]) == ("invoice.updated", "denied")
    assert event["actor"] == {"type": "user", "id": "u-17", "name": "Ana", "groups": ["ops"]}
    assert event["origin"]["ip"] == "192.0.2.7"
    assert event["targets"] == [{"type": "invoice", "id": "4711"}]
    assert event["description"] == "ana changed invoice uid-1"
    assert event["metadata"]["amount"] == "9007199254740993"
    assert event["trace"] == {"trace_id": "5b8efff798038103d269b633813fc60c",
                              "span_id": "eee19b7ec3c1b174"}


def test_a_repetition_over_another_transport_is_the_same_event(server):
    over_grpc, over_http = (exporter(server, form) for form in ("grpc", "http, gzip"))
    kept = Kept(over_grpc)
    emit(kept, [record(f"uid-{at}") for at in range(20)])
    [batch] = kept.batches
    assert over_http.export(batch) == LogRecordExportResult.SUCCESS
    assert [it["id"] for it in server.taken()] == [f"uid-{at}" for at in range(20)]
    over_http.shutdown()


@pytest.mark.parametrize("form", ["grpc", "http"])
def test_what_names_no_event_is_kept_as_malformed_and_the_rest_is_taken(server, form):
    kept = Kept(exporter(server, form))
    emit(kept, [record("uid-0"), record("uid-1", name=None), record("uid-2")])
    assert kept.results == [LogRecordExportResult.SUCCESS]
    sent = kept.sent()
    assert [it["raw"] for it in server.taken()] == [sent[0], sent[2]]
    [malformed] = server.malformed()
    assert malformed["raw"] == sent[1]
    assert malformed["metadata"]["items"].startswith("1: ")


@pytest.mark.parametrize("form", ["grpc", "http"])
def test_nothing_that_can_be_taken_is_a_failure_that_is_not_repeated(server, form, caplog):
    kept = Kept(exporter(server, form))
    with caplog.at_level(logging.ERROR):
        emit(kept, [record("uid-0", name=None)])
    assert kept.results == [LogRecordExportResult.FAILURE]
    assert not server.taken()
    assert [it["raw"] for it in server.malformed()] == kept.sent()
