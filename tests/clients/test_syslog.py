"""rsyslog as a process of the tests, and logger of util-linux."""

import os
import re
import shlex
import signal
import socket
import subprocess

import pytest

from harness import PATIENCE_S, done, until

# CAIRN_RSYSLOG is the command with its options; scripts/test-clients finds or installs it.
RSYSLOG = shlex.split(os.environ.get("CAIRN_RSYSLOG", "rsyslogd"))
CONFIGURATION = """
global(workDirectory="{folder}")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="0" listenPortFileName="{folder}/port")
*.* action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"
           {template} action.resumeRetryCount="-1" action.resumeInterval="1"
           queue.type="LinkedList" queue.filename="cairn" queue.saveOnShutdown="on")
"""
RFC_5424 = 'template="RSYSLOG_SyslogProtocol23Format"'


@pytest.fixture
def rsyslog(server, tmp_path):
    """Starts an rsyslog that forwards to the server, and gives the port that it listens on."""
    started = []

    def start(template):
        folder = tmp_path / "rsyslog"
        folder.mkdir()
        conf = folder / "rsyslog.conf"
        conf.write_text(CONFIGURATION.format(folder=folder, port=server.syslog_port, template=template))
        command = [*RSYSLOG, "-n", "-f", str(conf), "-i", str(folder / "pid")]
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said)
        started.append(process)
        port = folder / "port"
        until(lambda: process.poll() is not None or (port.exists() and port.read_text()))
        assert process.poll() is None, (folder / "said").read_text()
        return int(port.read_text())

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def send(port, *messages):
    """Messages to rsyslog, counted."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        for message in messages:
            connection.sendall(f"{len(message.encode())} {message}".encode())


def message(at):
    """A message as it goes to rsyslog; the format that it forwards ends each with a newline."""
    return (f"<110>1 2026-03-04T09:10:11.{at:06}+01:00 nas1 files 42 READ "
            f'[share@32473 user="ana" at="{at}"] read café number {at}')


def logger(server, *arguments):
    port = ["-n", "127.0.0.1", "-P", server.syslog_port, "--tcp"]
    done("logger", *port, *arguments)


def test_rsyslog_forwards_messages_as_they_are(server, rsyslog):
    messages = [message(at) for at in range(300)]
    send(rsyslog(RFC_5424), *messages)
    server.until_size(300)
    taken = server.taken()
    assert sorted(it["raw"].decode() for it in taken) == [f"{it}\n" for it in messages]
    first = min(taken, key=lambda it: it["raw"])
    assert (first["source"], first["actor"]["id"]) == ("syslog://nas1", "files@nas1")
    assert (first["time"], first["severity"]) == ("2026-03-04T08:10:11Z", "info")
    assert first["metadata"]["share@32473.user"] == "ana"
    assert first["description"] == "read café number 0\n"
    assert "flags" not in first


def test_rsyslog_s_own_format_is_taken_and_flagged(server, rsyslog):
    send(rsyslog(""), message(7))
    server.until_size(1)
    [event] = server.taken()
    assert event["raw"].startswith(b"<110>") and b"read caf\xc3\xa9 number 7" in event["raw"]
    assert "rfc3164" in event["flags"]
    assert event["source"] == "syslog://nas1"


def test_rsyslog_s_queue_outlives_a_restart_of_the_server(server, rsyslog):
    port = rsyslog(RFC_5424)
    send(port, message(0))
    server.until_size(1)
    server.stop()
    later = [message(at) for at in range(1, 50)]
    send(port, *later)
    server.start()
    server.until_size(50)
    expected = [f"{it}\n" for it in (message(0), *later)]
    assert sorted(it["raw"].decode() for it in server.taken()) == expected


def test_logger_s_counted_messages_are_taken_as_they_are(server):
    form = ["--octet-count", "--rfc5424=notime,nohost,notq", "--id=77", "-t", "door", "-p", "auth.warning"]
    logger(server, *form, "opened\nby café")
    server.until_size(1)
    [event] = server.taken()
    assert re.fullmatch(r"<36>1 - - door 77 - - opened\nby café", event["raw"].decode())
    assert (event["source"], event["severity"]) == ("syslog://127.0.0.1", "medium")
    assert event["actor"]["id"] == "door@127.0.0.1"


@pytest.mark.parametrize("form", ["--rfc5424", "--rfc3164"])
def test_logger_s_lines_are_messages(server, tmp_path, form):
    lines = [f"line {at}" for at in range(40)]
    file = tmp_path / "lines"
    file.write_text("\n".join(lines) + "\n")
    logger(server, form, "-t", "door", "-f", file)
    server.until_size(40)
    taken = server.taken()
    assert [it["description"] for it in taken] == lines
    assert {"rfc3164" in it.get("flags", []) for it in taken} == {form == "--rfc3164"}


def test_what_is_no_syslog_is_taken_and_flagged_and_half_a_message_is_too(server):
    host, port = server.syslog.split(":")
    for sent in (b"what is this\n", b"99 <13>half of what was counted", b"\n\n"):
        with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
            connection.sendall(sent)
        server.until_size({b"w": 1, b"9": 2, b"\n": 2}[sent[:1]])
    neither, half = server.taken()
    assert (neither["raw"], "syslog_malformed" in neither["flags"]) == (b"what is this", True)
    assert (half["raw"], "raw_cut" in half["flags"]) == (b"<13>half of what was counted", True)
