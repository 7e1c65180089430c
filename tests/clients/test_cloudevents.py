"""The CloudEvents SDK for Python, in binary mode, in structured mode, and with batches of its events."""

from datetime import datetime, timezone

import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from harness import PATIENCE_S
from samples import data

TIME = datetime(2026, 3, 4, 9, 10, 11, 500_000, timezone.utc)


def made(identity, **more):
    attributes = {"id": identity, "source": "/billing", "type": "com.example.audit.invoice.updated.v1",
                  "time": TIME, "subject": "invoice/Büro 7", "datacontenttype": "application/json"}
    return CloudEvent(attributes | more, data("u-17"))


def send(server, message):
    answer = requests.post(f"{server.url}/v1/cloudevents", data=message.body, timeout=PATIENCE_S,
                           headers=message.headers)
    return answer.status_code, answer.json()["results"]


def send_batch(server, texts):
    body = b"[" + b",\n".join(texts) + b"]"
    media = {"content-type": "application/cloudevents-batch+json"}
    answer = requests.post(f"{server.url}/v1/cloudevents", body, headers=media, timeout=PATIENCE_S)
    return answer.status_code, answer.json()["results"]


def raw_of_binary(message):
    """Headers in small letters, sorted, an empty line, the body."""
    lines = sorted(f"{name.lower()}: {value}\r\n" for name, value in message.headers.items())
    return "".join(lines).encode() + b"\r\n" + message.body


def test_binary_mode_is_taken_once_with_its_headers_and_body(server):
    message = to_binary_event(made("ce-1"))
    for is_duplicate in (False, True):
        status, [result] = send(server, message)
        assert (status, result["duplicate"]) == (200, is_duplicate)
    [event] = server.taken()
    assert event["raw"] == raw_of_binary(message)
    assert (event["id"], event["source"]) == ("ce-1", "/billing")
    assert (event["action"], event["time"]) == ("invoice.updated", "2026-03-04T09:10:11.5Z")
    assert event["actor"] == {"type": "user", "id": "u-17"}
    # The SDK escapes what a header cannot hold, and the server takes the escapes back once.
    assert any(target["id"].endswith("Büro 7") for target in event["targets"]) or \
        "Büro 7" in str(event["metadata"])


def test_structured_mode_is_taken_once_with_its_bytes(server):
    message = to_structured_event(made("ce-2"))
    for is_duplicate in (False, True):
        status, [result] = send(server, message)
        assert (status, result["duplicate"]) == (200, is_duplicate)
    [event] = server.taken()
    assert (event["raw"], event["action"]) == (message.body, "invoice.updated")


def test_the_same_id_with_another_content_is_another_event(server):
    send(server, to_structured_event(made("ce-3")))
    status, [result] = send(server, to_structured_event(made("ce-3", subject="invoice/8")))
    assert status == 200 and result["id"].startswith("ce-3#")
    assert ["id_reused" in it.get("flags", []) for it in server.taken()] == [False, True]


def test_a_batch_is_taken_event_by_event(server):
    texts = [JSONFormat().write(made(f"ce-{at}")) for at in range(10)]
    bad = b'{"specversion":"1.0","id":"x","source":"/billing","type":"com.example.x.y"}'
    status, results = send_batch(server, [*texts[:5], bad, *texts[5:]])
    assert status == 200
    assert ["error" in it for it in results] == [at == 5 for at in range(11)]
    assert results[5]["error"]["field"] == "data.actor"
    assert [it["raw"] for it in server.taken()] == texts
    assert [it["raw"] for it in server.malformed()] == [bad]


def test_what_names_no_actor_is_refused_and_kept(server):
    message = to_structured_event(CloudEvent({"source": "/billing", "type": "com.example.x.y"}, {}))
    for _ in range(2):
        status, [result] = send(server, message)
        assert (status, result["error"]["field"]) == (400, "data.actor")
    assert not server.taken()
    assert [it["raw"] for it in server.malformed()] == [message.body]
