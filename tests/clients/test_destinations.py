"""What goes out, read by what others wrote for its readers: CloudEvents' SDK, the library of Standard
Webhooks, and OpenTelemetry's protobuf messages."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from standardwebhooks import Webhook, WebhookVerificationError

from harness import PATIENCE_S, Server, event, until

SECRET = "whsec_bm90IGEgc2VjcmV0LCBvZiBhIHRlc3QgYWxvbmU="
SENT = 12


class Sink:
    """A receiver that keeps what it is sent, and answers the first requests with an error."""

    def __init__(self, failures):
        self.requests, self.failures = [], failures
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.answer(self, body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler, body):
        refuses, self.failures = self.failures > 0, self.failures - 1
        if not refuses:
            headers = {name.lower(): text for name, text in handler.headers.items()}
            self.requests.append((handler.path, headers, body))
        handler.send_response(503 if refuses else 200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def sending(tmp_path):
    """Starts a server with one destination, and a sink for it."""
    started = []

    def start(kind, failures=0):
        sink = Sink(failures)
        started.append(sink)
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "secret").chmod(0o600)
        (tmp_path / "server.toml").write_text(
            f'[[destination]]\nname = "sink"\nkind = "{kind}"\nurl = "{sink.url}"\n'
            f'secret_file = "{tmp_path}/secret"\n')
        (tmp_path / "server").mkdir()
        server = Server(tmp_path / "server", "--config", tmp_path / "server.toml")
        started.append(server)
        server.start()
        events = [event(id=f"e-{at}", targets=[{"type": "invoice", "id": f"Büro {at}"}])
                  for at in range(SENT)]
        answer = requests.post(f"{server.url}/v1/events", json=events, timeout=PATIENCE_S)
        assert answer.status_code == 200
        return server, sink

    yield start
    for one in reversed(started):
        one.stop()


@pytest.mark.parametrize("failures", [0, 2])
def test_a_webhook_s_events_are_read_and_verified_by_the_libraries_of_others(sending, failures):
    server, sink = sending("webhook", failures)
    until(lambda: len(sink.requests) >= SENT)
    known = server.taken()
    assert len(sink.requests) == SENT
    for (_, headers, body), stored in zip(sink.requests, known):
        Webhook(SECRET).verify(body, headers)
        message = HTTPMessage({"content-type": headers["content-type"]}, body)
        read = from_structured_event(message)
        assert (read.get_id(), read.get_type()) == (stored["id"], "cairn.audit.invoice.updated.v1")
        assert read.get_source() == stored["source"]
        assert read.get_extension("logleafhash") == stored["leaf_hash"]
        assert read.get_data()["targets"] == stored["targets"]


def test_a_webhook_that_was_altered_does_not_verify(sending):
    _, sink = sending("webhook")
    until(lambda: sink.requests)
    _, headers, body = sink.requests[0]
    for altered, secret in ((body.replace(b"invoice", b"invoicf", 1), SECRET), (body, "whsec_AAAA")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(altered, headers)


def test_otlp_s_records_are_read_by_opentelemetry_s_messages(sending):
    server, sink = sending("otlp", failures=1)

    def records():
        requests = [json_format.Parse(body, ExportLogsServiceRequest()) for _, _, body in sink.requests]
        return [record for request in requests for resource in request.resource_logs
                for scope in resource.scope_logs for record in scope.log_records]

    until(lambda: len(records()) >= SENT)
    assert {path for path, _, _ in sink.requests} == {"/v1/logs"}
    for record, stored in zip(records(), server.taken(), strict=True):
        attributes = {it.key: it.value for it in record.attributes}
        assert record.event_name == stored["action"]
        assert attributes["log.record.uid"].string_value == stored["id"]
        assert attributes["cairn.leaf_hash"].string_value == stored["leaf_hash"]
        assert json.loads(attributes["audit.event"].string_value)["targets"] == stored["targets"]
