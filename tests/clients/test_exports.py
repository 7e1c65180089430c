"""Evidence files, read by DuckDB and by Python's csv, and verified by a script that knows docs/formats.md."""

import csv
import io
import json
import zipfile

import duckdb
import pytest
import requests

from harness import PATIENCE_S, event, until, verified

# What people write, and how it stands in a cell of CSV.
TEXTS = {
    "=1+1": "'=1+1",
    "@SUM(A1)": "'@SUM(A1)",
    "-5": "-5",
    "-5 euros": "'-5 euros",
    "'quoted'": "''quoted'",
    'say "yes", or; no': 'say "yes", or; no',
    "two\r\nlines": "two\r\nlines",
    "tab\there": "tab\there",
    "Büro 日本 🙂": "Büro 日本 🙂",
    "abc\u202edef\u0007": "abc\\u202edef\\u0007",
    "": "",
}


def post(server, events):
    answer = requests.post(f"{server.url}/v1/events", json=events, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    assert all("index" in result for result in answer.json()["results"])


def fill(server):
    described = [event(id=f"d-{at}", description=text, time=f"2026-03-04T09:10:11.{at:09}Z")
                 for at, text in enumerate(TEXTS)]
    early = event(id="early", time="0001-01-01T00:00:00Z", action="invoice.deleted", operation="delete")
    post(server, [*described, early])
    hec = b'{"event": "=cmd", "host": "gate-1", "fields": {"a": 1.5}}'
    answer = requests.post(f"{server.url}/services/collector", hec, timeout=PATIENCE_S,
                           headers={"authorization": "Splunk x"})
    assert answer.status_code == 200


def export(server, file, **request):
    """Asks for an evidence file, waits for it, downloads it."""
    server.until_published()
    answer = requests.post(f"{server.url}/v1/logs/audit/exports", json=request, timeout=PATIENCE_S)
    assert answer.status_code == 202, answer.text
    url = answer.json()["url"]
    until(lambda: server.get(url)["state"] not in ("waiting", "running"))
    job = server.get(url)
    assert job["state"] == "done", job
    got = requests.get(f"{server.url}{url}/download", timeout=PATIENCE_S)
    assert got.status_code == 200 and len(got.content) == job["bytes"]
    file.write_bytes(got.content)
    return file


def rows_of_python(text):
    return list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))


def rows_of_duckdb(file):
    """The rows below the header, and the header; an empty cell is null, unless it is quoted."""
    read = duckdb.sql(f"""SELECT * FROM read_csv('{file}', header = true, all_varchar = true,
        auto_detect = false, delim = ',', quote = '"', escape = '"', new_line = '\\r\\n',
        allow_quoted_nulls = false, columns = {columns_of(file)})""")
    return read.columns, read.fetchall()


def columns_of(file):
    names = rows_of_python(file.read_bytes())[0]
    return {name: "VARCHAR" for name in names}


@pytest.fixture
def evidence(server, tmp_path):
    """An evidence file in all formats, and the folder that it is unpacked to."""
    fill(server)
    formats = ["csv", "json", "parquet"]
    file = export(server, tmp_path / "evidence.zip", formats=formats, purpose="a test")
    folder = tmp_path / "evidence"
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return file, folder


def test_both_verifiers_accept_it_and_refuse_another_key(server, evidence):
    file, folder = evidence
    assert verified(file, f"@{server.vkey}") == (0, 0)
    assert verified(folder, f"@{server.vkey}") == (0, 0)
    other = server.vkey.with_name("default.vkey")
    assert verified(file, f"@{other}") == (1, 1)


@pytest.mark.parametrize("name", ["events.ndjson", "events.csv", "proofs/000001.txt", "checkpoint"])
def test_both_verifiers_refuse_it_when_it_was_altered(server, evidence, name):
    _, folder = evidence
    file = folder / name
    content = file.read_bytes()
    at = len(content) // 2
    other = b"0" if content[at:at + 1] != b"0" else b"1"
    file.write_bytes(content[:at] + other + content[at + 1:])
    statuses = verified(folder, f"@{server.vkey}")
    assert all(status in (1, 2) for status in statuses), statuses
    file.write_bytes(content)
    assert verified(folder, f"@{server.vkey}") == (0, 0)


def test_two_readers_read_the_same_csv(server, evidence):
    _, folder = evidence
    file = folder / "events.csv"
    header, *rows = rows_of_python(file.read_bytes())
    columns, others = rows_of_duckdb(file)
    assert columns == header
    assert [["" if cell is None else cell for cell in row] for row in others] == rows
    description = header.index("description")
    cells = [row[description] for row in rows[:len(TEXTS)]]
    assert cells == list(TEXTS.values())
    # An empty text is a value, and is quoted; what is absent is not.
    assert [row[description] for row in others[:len(TEXTS)]] == list(TEXTS.values())
    assert others[len(TEXTS)][description] is None
    assert rows[-1][description] == "'=cmd"


def test_duckdb_reads_the_parquet(server, evidence):
    _, folder = evidence
    file = folder / "events.parquet"
    read = duckdb.sql(f"SELECT * FROM read_parquet('{file}') ORDER BY index")
    types = dict(zip(read.columns, map(str, read.types)))
    times = {"received_at_utc", "time_utc"}
    expected = {name: "TIMESTAMP WITH TIME ZONE" if name in times else "VARCHAR" for name in types}
    assert types == expected | {"index": "BIGINT"}
    header = rows_of_python((folder / "events.csv").read_bytes())[0]
    assert [name for name in read.columns if name not in times] == header
    shown = duckdb.sql(f"""SELECT index, id, description, received_at, epoch_us(time_utc),
        epoch_us(received_at_utc) FROM read_parquet('{file}') ORDER BY index""").fetchall()
    events = json.loads((folder / "events.json").read_bytes())
    assert [row[:4] for row in shown] == [
        (it["index"], it["id"], it.get("description"), it["received_at"]) for it in events]
    assert [row[2] for row in shown[:len(TEXTS)]] == list(TEXTS)
    assert [row[4] for row in shown[:len(TEXTS)]] == [1_772_615_411_000_000] * len(TEXTS)
    nanos = [int(it["received_at"][-10:-1]) for it in events]
    assert [row[5] % 1_000_000 for row in shown] == [it // 1_000 for it in nanos]


def test_a_file_without_rows_is_read_too(server, tmp_path):
    fill(server)
    file = export(server, tmp_path / "none.zip", formats=["csv", "parquet"],
                  filter={"action": "nobody.did"})
    assert verified(file, f"@{server.vkey}") == (0, 0)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path)
    assert duckdb.sql(f"SELECT * FROM read_parquet('{tmp_path}/events.parquet')").fetchall() == []
    assert len(rows_of_python((tmp_path / "events.csv").read_bytes())) == 1


def test_what_is_withheld_is_in_no_file(server, tmp_path):
    fill(server)
    request = {"filter": {"action": "invoice.deleted"}, "complete": True, "deflate": True,
               "withhold": ["actor"], "formats": ["csv", "json", "parquet"]}
    file = export(server, tmp_path / "evidence.zip", **request)
    assert verified(file, f"@{server.vkey}") == (0, 0)
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            assert b"u-17" not in archive.read(name), name
        lines = [json.loads(line) for line in archive.read("events.ndjson").splitlines()]
    # A complete file shows core alone of what does not match.
    assert [sorted(line["blocks"]) for line in lines[:1]] == [["core"]]
    [deleted] = [line for line in lines if "invoice.deleted" in line["blocks"]["core"]["text"]]
    assert sorted(deleted["blocks"]) == ["core", "target"]


def test_a_bad_request_for_a_file_is_refused(server):
    for request in ({"formats": ["xlsx"]}, {"withhold": ["core"]}, {"filter": {"actoin": "x"}}):
        answer = requests.post(f"{server.url}/v1/logs/audit/exports", json=request, timeout=PATIENCE_S)
        assert answer.status_code == 400, request
