"""A client of gRPC in Python, generated from proto/ by protoc."""

import json
import zipfile

import grpc
import pytest

from harness import BIN, PATIENCE_S, done, run, verified


@pytest.fixture
def audit(server, stubs):
    """The calls of audit logs, and the messages."""
    from cairn.audit.v1 import audit_pb2, audit_pb2_grpc

    with grpc.insecure_channel(server.grpc) as channel:
        yield audit_pb2_grpc.AuditServiceStub(channel), audit_pb2


def made(pb, identity, **more):
    event = {
        "id": identity,
        "source": "urn:shop",
        "time": "2026-03-04T09:10:11Z",
        "action": "invoice.updated",
        "category": pb.CATEGORY_DATA,
        "operation": pb.OPERATION_UPDATE,
        "outcome": pb.OUTCOME_SUCCESS,
        "actor": pb.AuditEvent.Actor(type=pb.ACTOR_TYPE_USER, id="u-17", name="Ana"),
        "targets": [pb.AuditEvent.Target(type="invoice", id=identity)],
        "metadata": {"amount": pb.AuditEvent.Value(number=2**53 - 1)},
    }
    return pb.AuditEvent(**(event | more))


def record(calls, pb, events):
    request = pb.RecordEventsRequest(log="audit", events=events)
    return calls.RecordEvents(request, timeout=PATIENCE_S)


def indexes(results):
    return [result.recorded.index for result in results]


def ids(server):
    return [event["id"] for event in server.taken()]


def test_events_are_recorded_once_and_bad_ones_are_named(server, audit):
    calls, pb = audit
    events = [made(pb, f"e-{at}") for at in range(5)]
    events[2].action = "Not.An.Action"
    for is_duplicate in (False, True):
        results = record(calls, pb, events).results
        assert [it.WhichOneof("result") for it in results] == [
            "refused" if at == 2 else "recorded" for at in range(5)]
        good = [it for at, it in enumerate(results) if at != 2]
        assert indexes(good) == [0, 1, 2, 3]
        assert {it.recorded.duplicate for it in good} == {is_duplicate}
        refused = results[2].refused
        assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "action")
        assert "Not.An.Action" not in refused.message
    assert ids(server) == ["e-0", "e-1", "e-3", "e-4"]
    assert {it["metadata"]["amount"] for it in server.taken()} == {2**53 - 1}


def test_an_id_with_another_content_is_refused(server, audit):
    calls, pb = audit
    record(calls, pb, [made(pb, "e-1")])
    other = made(pb, "e-1", outcome=pb.OUTCOME_FAILURE)
    [result] = record(calls, pb, [other]).results
    assert (result.refused.reason, result.refused.field) == ("ID_TAKEN", "id")
    with pytest.raises(grpc.RpcError) as refused:
        calls.RecordEvent(pb.RecordEventRequest(log="audit", event=other), timeout=PATIENCE_S)
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    with pytest.raises(grpc.RpcError) as refused:
        calls.RecordEvent(pb.RecordEventRequest(log="nowhere", event=other), timeout=PATIENCE_S)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert [it["outcome"] for it in server.taken()] == ["success"]


def test_a_receipt_verifies_offline_and_another_entry_does_not(server, audit, tmp_path):
    calls, pb = audit
    from cairn.log.v1 import log_pb2

    request = pb.RecordEventRequest(log="audit", event=made(pb, "e-1"),
                                    receipt=log_pb2.RECEIPT_SIGNED)
    answer = calls.RecordEvent(request, timeout=PATIENCE_S)
    record(calls, pb, [made(pb, "e-2")])
    later = calls.GetEventReceipt(pb.GetEventRequest(log="audit", index=0), timeout=PATIENCE_S)
    for index in (0, 1):
        stored = calls.GetEvent(pb.GetEventRequest(log="audit", index=index), timeout=PATIENCE_S)
        (tmp_path / f"{index}.entry").write_bytes(stored.leaf)
        assert [block.name for block in stored.blocks] == ["core", "actor", "target", "detail"]
    verify = [BIN / "cairn", "verify"]
    for receipt in (answer.tlog_proof, later.tlog_proof):
        file = tmp_path / "receipt.tlog-proof"
        file.write_bytes(receipt)
        against = ["--vkey", f"@{server.vkey}"]
        done(*verify, file, "--entry", tmp_path / "0.entry", *against)
        assert run(*verify, file, "--entry", tmp_path / "1.entry", *against).returncode == 1


def stream(calls, pb, producer, first_sequence, events):
    """Sends events on a connection of their own, and reads until each has its result."""
    message = pb.RecordStreamRequest
    opened = message(open=message.Open(log="audit", producer_id=producer))
    items = [message(items=pb.RecordStreamItems(first_sequence=first_sequence + at, events=[event]))
             for at, event in enumerate(events)]
    results = []
    answers = calls.RecordStream(iter([opened, *items]), timeout=PATIENCE_S)
    for answer in answers:
        if answer.WhichOneof("message") == "results":
            assert answer.results.first_sequence == first_sequence + len(results)
            results += answer.results.results
    return results


def test_a_stream_goes_on_after_a_broken_connection_and_records_once(server, audit):
    calls, pb = audit
    producer = bytes(range(16))
    # Without ids: a repetition is recognised by the stream and its sequence.
    events = [made(pb, "x", targets=[pb.AuditEvent.Target(type="invoice", id=str(at))])
              for at in range(30)]
    for event in events:
        event.ClearField("id")
    first = stream(calls, pb, producer, 1, events[:20])
    assert indexes(first) == list(range(20))
    server.stop()
    server.start()
    again = stream(calls, pb, producer, 11, events[10:])
    assert indexes(again) == list(range(10, 30))
    assert [it.recorded.duplicate for it in again] == [True] * 10 + [False] * 10
    assert [it["targets"][0]["id"] for it in server.taken()] == [str(at) for at in range(30)]


def test_a_stream_must_be_opened(server, audit):
    calls, pb = audit
    items = pb.RecordStreamItems(first_sequence=1, events=[made(pb, "e-1")])
    with pytest.raises(grpc.RpcError) as refused:
        list(calls.RecordStream(iter([pb.RecordStreamRequest(items=items)]), timeout=PATIENCE_S))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert server.size() == 0


def parameters(pb, **query):
    return [pb.Parameter(name=name, value=value) for name, value in query.items()]


def filled(calls, pb):
    """Forty events of two actors, each second one denied."""
    actors = [pb.AuditEvent.Actor(type=pb.ACTOR_TYPE_USER, id=f"u-{at}") for at in range(2)]
    outcomes = [pb.OUTCOME_SUCCESS, pb.OUTCOME_DENIED]
    events = [made(pb, f"e-{at}", actor=actors[at % 2], outcome=outcomes[at % 2]) for at in range(40)]
    record(calls, pb, events)


def test_a_search_gives_every_match_once_page_by_page(server, audit):
    calls, pb = audit
    filled(calls, pb)
    found, cursor = [], {}
    while True:
        query = parameters(pb, actor="u-1", order="oldest", limit="7", **cursor)
        page = calls.SearchEvents(pb.SearchEventsRequest(log="audit", query=query), timeout=PATIENCE_S)
        assert (page.count, page.tree_size) == (20, 40)
        assert len(page.events) <= 7
        found += [event.index for event in page.events]
        if not page.next:
            break
        cursor = {"cursor": page.next}
    assert found == list(range(1, 40, 2))
    query = parameters(pb, outcome="denied", by="x")
    with pytest.raises(grpc.RpcError) as refused:
        calls.SearchEvents(pb.SearchEventsRequest(log="audit", query=query), timeout=PATIENCE_S)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_counts_are_of_all_that_match(server, audit):
    calls, pb = audit
    filled(calls, pb)
    request = pb.CountEventsRequest(log="audit", by="actor", query=parameters(pb, outcome="denied"))
    counts = calls.CountEvents(request, timeout=PATIENCE_S)
    assert [(it.key, it.count) for it in counts.counts] == [("u-1", 20)]
    assert counts.other == 0
    with pytest.raises(grpc.RpcError) as refused:
        calls.CountEvents(pb.CountEventsRequest(log="audit", by="colour"), timeout=PATIENCE_S)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_tail_sends_what_is_there_and_what_comes(server, audit):
    calls, pb = audit
    filled(calls, pb)
    tail = calls.TailEvents(pb.TailEventsRequest(log="audit", **{"from": 30}), timeout=PATIENCE_S)
    assert [next(tail).index for _ in range(10)] == list(range(30, 40))
    record(calls, pb, [made(pb, "later")])
    event = next(tail)
    assert event.index == 40
    assert '"id":"later"' in event.event_json
    tail.cancel()


def exported(calls, pb, file, **request):
    """The archive that an export sends, piece by piece, after it has said how far it is."""
    request = pb.ExportEventsRequest(log="audit", **request)
    states, pieces = [], []
    for answer in calls.ExportEvents(request, timeout=PATIENCE_S):
        if answer.WhichOneof("message") == "progress":
            assert not pieces
            states.append(answer.progress)
        else:
            pieces.append(answer.piece)
    assert states[-1].state == "done"
    file.write_bytes(b"".join(pieces))
    assert len(file.read_bytes()) == states[-1].bytes


def test_an_export_holds_what_matches_and_verifies(server, audit, tmp_path):
    calls, pb = audit
    filled(calls, pb)
    server.until_published()
    file = tmp_path / "evidence.zip"
    exported(calls, pb, file, filter=parameters(pb, actor="u-1"), formats=["csv"], purpose="a test")
    assert verified(file, f"@{server.vkey}") == (0, 0)
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("events.ndjson").splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(1, 40, 2))
    with pytest.raises(grpc.RpcError) as refused:
        exported(calls, pb, file, formats=["xlsx"])
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
