"""curl, and logger, as README.md shows them, and events of our own schema."""

import gzip
import json
import subprocess

import pytest

from harness import BIN, PATIENCE_S, ROOT, done, event, run
from samples import cloud_event, kubernetes_item, kubernetes_list, otlp_request

STATUS = "\n%{http_code}"


def curl(*arguments):
    """Status and body of an answer."""
    body = done("curl", "-s", "--max-time", PATIENCE_S, "-w", STATUS, *arguments)
    body, status = body.rsplit("\n", 1)
    return int(status), body


def post(server, file, *arguments, path="/v1/events"):
    return curl("--data-binary", f"@{file}", *arguments, server.url + path)


def first_tries():
    """The commands of the table of senders in README.md."""
    section = (ROOT / "README.md").read_text().split("## Events that others send")[1].split("\n## ")[0]
    codes = [line.split("`") for line in section.splitlines() if line.startswith("| ")]
    return [code for parts in codes for code in parts[1::2] if code.startswith(("curl ", "logger "))]


def test_the_first_tries_of_the_readme_work(server, tmp_path):
    record = {"eventVersion": "1.10", "eventTime": "2026-03-04T09:10:11Z", "eventName": "DeleteTrail",
              "eventSource": "cloudtrail.amazonaws.com", "awsRegion": "eu-west-1", "eventID": "e-1",
              "recipientAccountId": "111122223333", "userIdentity": {"type": "IAMUser", "arn": "x"}}
    files = {
        "eventlist.json": kubernetes_list([kubernetes_item("a", "get")]),
        "file.json.gz": gzip.compress(json.dumps({"Records": [record]}).encode()),
        "event.json": json.dumps(cloud_event("ce-1")).encode(),
        "logs.json": json.dumps(otlp_request("uid-1")).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    tries = first_tries()
    assert len(tries) == 6
    for line in tries:
        line = line.replace("localhost:6962", server.grpc).replace("curl ", "curl -sf ")
        line = line.replace("localhost -P 5514", f"127.0.0.1 -P {server.syslog_port}")
        done("bash", "-c", line, cwd=tmp_path)
    server.until_size(6)
    actions = {"k8s.core.pods.get", "aws.cloudtrail.deletetrail", "invoice.updated", "hec.event",
               "syslog.message"}
    taken = server.taken()
    assert {it["action"] for it in taken} == actions
    raws = {it["action"]: it["raw"] for it in taken}
    assert raws["hec.event"] == b'{"event":"hello"}'
    assert raws["aws.cloudtrail.deletetrail"] == json.dumps(record).encode()


@pytest.mark.parametrize("form", ["object", "array", "lines"])
def test_events_come_as_an_object_an_array_or_lines(server, tmp_path, form):
    texts = [json.dumps(event(id=f"e-{at}", description="Büro")) for at in range(3)]
    bodies = {"object": texts[0], "array": f"[{','.join(texts)}]",
              "lines": "\ufeff" + "\r\n".join(texts) + "\r\n"}
    media = "application/x-ndjson" if form == "lines" else "application/json"
    file = tmp_path / "body"
    file.write_bytes(bodies[form].encode())
    count = 1 if form == "object" else 3
    for is_duplicate in (False, True):
        status, answer = post(server, file, "-H", f"content-type: {media}")
        results = json.loads(answer)["results"]
        assert status == 200
        assert [it["duplicate"] for it in results] == [is_duplicate] * count
        assert [it["index"] for it in results] == list(range(count))
    assert [it["id"] for it in server.taken()] == [f"e-{at}" for at in range(count)]


def test_a_receipt_verifies_offline_and_another_entry_does_not(server, tmp_path):
    file = tmp_path / "body"
    file.write_text(json.dumps([event(id="a"), event(id="b")]))
    status, answer = post(server, file, path="/v1/events?receipt=signed")
    assert status == 200
    receipts = [it["receipt"] for it in json.loads(answer)["results"]]
    (tmp_path / "0.tlog-proof").write_text(receipts[0])
    for index in (0, 1):
        line = server.get(f"/v1/events/{index}")
        names = ("index", "leaf", "blocks", "withheld", "erased")
        (tmp_path / f"{index}.event.json").write_text(
            json.dumps({name: line[name] for name in names}) + "\n")
    verify = [BIN / "cairn", "verify-event"]
    against = [tmp_path / "0.tlog-proof", "--vkey", f"@{server.vkey}"]
    done(*verify, tmp_path / "0.event.json", *against)
    assert run(*verify, tmp_path / "1.event.json", *against).returncode == 1


def test_a_packed_body_is_refused_and_the_same_unpacked_is_taken(server, tmp_path):
    body = json.dumps(event(id="a")).encode()
    (tmp_path / "packed").write_bytes(gzip.compress(body))
    (tmp_path / "plain").write_bytes(body)
    encoded = ["-H", "content-encoding: gzip"]
    assert post(server, tmp_path / "packed", *encoded)[0] == 415
    assert server.size() == 0
    assert post(server, tmp_path / "plain")[0] == 200
    assert server.size() == 1


def test_a_refusal_names_the_field_and_never_the_value(server, tmp_path):
    file = tmp_path / "body"
    secret = "Secret.Value"
    file.write_text(json.dumps(event(id="a")) + "\n" + json.dumps(event(action=secret)) + "\n")
    status, answer = post(server, file)
    taken, refused = json.loads(answer)["results"]
    assert (status, taken["index"]) == (200, 0)
    assert (refused["error"]["field"], refused["error"]["line"]) == ("action", 2)
    assert secret not in answer
    file.write_text(json.dumps(event(action=secret)))
    assert post(server, file)[0] == 400
    file.write_text(json.dumps(event(id="a", outcome="failure")))
    status, answer = post(server, file)
    assert (status, json.loads(answer)["error"]["field"]) == (409, "id")
    assert [it["outcome"] for it in server.taken()] == ["success"]


def test_a_tail_sends_what_is_there_and_what_comes(server, tmp_path):
    file = tmp_path / "body"
    file.write_text(json.dumps([event(id="a"), event(id="b")]))
    post(server, file)
    command = ["curl", "-sN", "--max-time", str(PATIENCE_S), f"{server.url}/v1/events/tail?from=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        first = json.loads(tail.stdout.readline())
        file.write_text(json.dumps(event(id="c")))
        post(server, file)
        second = json.loads(tail.stdout.readline())
        tail.terminate()
    assert [(it["index"], it["id"]) for it in (first, second)] == [(1, "b"), (2, "c")]
    assert curl(f"{server.url}/v1/events/tail?from=now")[0] == 400
