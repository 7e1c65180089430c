"""splunk-hec-handler, a handler of Python's logging that posts to a Splunk HTTP Event Collector."""

import logging

import pytest
import requests
from splunk_hec_handler import SplunkHecHandler


@pytest.fixture
def handler(server):
    """Makes handlers; each remembers the bodies that it posted."""
    host, port = server.grpc.split(":")
    made = []

    def make(**more):
        handler = SplunkHecHandler(host, "any-token", port=port, proto="http", hostname="gate-1", **more)
        handler.bodies = []
        handler.r.hooks["response"].append(
            lambda answer, **_: handler.bodies.append(answer.request.body.encode()))
        made.append(handler)
        return handler

    yield make
    for handler in made:
        handler.r.close()


def log(handler, *messages):
    logger = logging.Logger("door")
    logger.addHandler(handler)
    for message in messages:
        logger.warning(message)


def test_each_record_is_an_event_with_its_bytes(server, handler):
    sender = handler(source="/var/log/door")
    fields = {"message": "door opened", "count": 3, "fields": {"colour": "red"}}
    log(sender, "door opened by ana", fields)
    text, members = server.taken()
    assert [text["raw"], members["raw"]] == sender.bodies
    assert {it["source"] for it in (text, members)} == {"/var/log/door"}
    assert {it["action"] for it in (text, members)} == {"hec.event"}
    assert text["actor"] == {"type": "service", "id": "gate-1"}
    assert members["metadata"]["event.count"] == 3
    assert members["metadata"]["fields.colour"] == "red"


def test_an_event_of_our_schema_is_one_and_once(server, handler):
    sender = handler(sourcetype="audit:json", empty_body=True, source="urn:door")
    event = {"action": "door.opened", "actor": {"type": "user", "id": "u-21"}, "category": "access",
             "operation": "execute", "outcome": "success", "id": "hec-1"}
    # The handler takes the envelope's time from there. Otherwise a repetition has another time.
    event["fields"] = {"time": 1772615411.25}
    for _ in range(2):
        log(sender, dict(event))
    [taken] = server.taken()
    assert (taken["action"], taken["source"], taken["id"]) == ("door.opened", "urn:door", "hec-1")
    assert (taken["time"], taken["raw"]) == ("2026-03-04T09:10:11.25Z", None)
    event["outcome"] = "failure"
    with pytest.raises(requests.HTTPError) as refused:
        log(sender, event)
    assert refused.value.response.json()["code"] == 6
    assert [it["outcome"] for it in server.taken()] == ["success"]


def test_lines_of_the_raw_endpoint_are_events(server, handler):
    sender = handler(endpoint="raw")
    log(sender, "one", "two")
    assert [it["raw"] for it in server.taken()] == sender.bodies


def test_what_breaks_our_schema_is_refused_and_kept(server, handler):
    sender = handler(sourcetype="audit:json", empty_body=True)
    with pytest.raises(requests.HTTPError) as refused:
        log(sender, {"actor": {"type": "user", "id": "u-21"}})
    answer = refused.value.response
    assert (answer.status_code, answer.json()["code"]) == (400, 6)
    assert answer.json()["invalid-event-number"] == 0
    assert not server.taken()
    assert [it["raw"] for it in server.malformed()] == sender.bodies


def test_a_token_is_asked_for(server, handler):
    sender = handler()
    del sender.r.headers["Authorization"]
    with pytest.raises(requests.HTTPError) as refused:
        log(sender, "without a token")
    assert (refused.value.response.status_code, refused.value.response.json()["code"]) == (401, 2)
    assert server.size() == 0
