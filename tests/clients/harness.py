"""Servers of the tests, and what stands in their logs."""

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("CAIRN_BIN", ROOT / "target" / "debug"))
VERIFIER = ROOT / "crates" / "audit-event" / "tests" / "verifier.py"

# The longest wait for what another process does. Nothing is measured by it.
PATIENCE_S = 60


class Server:
    """A cairn-server of its own, on free ports of loopback."""

    def __init__(self, folder: Path, *options):
        self.folder, self.options = folder, options
        self.url = None
        self.syslog = None
        self.process = None

    def start(self):
        """Starts it; the second time on the same data and the same ports."""
        listen = self.url.removeprefix("http://") if self.url else "127.0.0.1:0"
        command = [BIN / "cairn-server", "--data-dir", self.folder / "data", "--listen", listen]
        command += ["--syslog-listen", self.syslog or "127.0.0.1:0", *self.options]
        out, err = self.folder / "out", self.folder / "err"
        with out.open("wb") as said, err.open("wb") as told:
            self.process = subprocess.Popen(command, stdout=said, stderr=told, env=environment())
        self.url = self.said(out, "listening on ")
        self.syslog = self.said(err, "syslog on ")

    def said(self, file, words):
        """The rest of a line that the server prints when it has started."""
        def lines():
            return [line for line in whole_lines(file) if line.startswith(words)]

        until(lambda: lines() or self.process.poll() is not None)
        assert lines(), f"cairn-server did not start: {(self.folder / 'err').read_text()}"
        return lines()[0].removeprefix(words)

    def stop(self):
        """Asks it to end, and waits until it has: what it acknowledged is on disk."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        assert status == 0, (self.folder / "err").read_text()

    @property
    def grpc(self):
        return self.url.removeprefix("http://")

    @property
    def syslog_port(self):
        return self.syslog.rsplit(":", 1)[1]

    @property
    def vkey(self):
        """The file with the public keys of the log `audit`."""
        return self.folder / "data" / "keys" / "audit.vkey"

    def get(self, path, **parameters):
        answer = requests.get(self.url + path, params=parameters, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def size(self):
        return self.get("/v1/events", limit=1)["tree_size"]

    def events(self):
        """Every event of the log `audit`, oldest first, with RAW as bytes."""
        events, cursor = [], None
        while True:
            page = {"order": "oldest", "limit": 1000, "raw": "true"}
            page |= {"cursor": cursor} if cursor else {}
            answer = self.get("/v1/events", **page)
            events += answer["events"]
            cursor = answer["next"]
            if cursor is None:
                break
        assert [event["index"] for event in events] == list(range(answer["tree_size"]))
        for event in events:
            event["raw"] = base64.b64decode(event["raw"]) if "raw" in event else None
        return events

    def taken(self):
        """The events that others sent, each id once: what was repeated is not there again."""
        events = [event for event in self.events() if not is_own(event)]
        keys = [(event["source"], event["id"]) for event in events]
        assert len(set(keys)) == len(keys)
        return events

    def malformed(self):
        """What was received and could not be read."""
        return [event for event in self.events() if is_own(event)]

    def until_size(self, size):
        """Waits for events whose senders get no acknowledgement."""
        until(lambda: self.size() >= size)
        assert self.size() == size

    def until_published(self):
        """Waits for the checkpoint that covers all events: an evidence file ends at the newest one."""
        def published():
            checkpoint = requests.get(f"{self.url}/logs/audit/checkpoint", timeout=PATIENCE_S)
            return int(checkpoint.text.split("\n")[1])

        size = self.size()
        until(lambda: published() >= size)


def is_own(event):
    own = event["source"].startswith("cairn:")
    assert not own or event["action"] == "source.malformed", event["action"]
    return own


def whole_lines(file):
    """The lines of a file that another process writes, those that have ended."""
    return file.read_text().split("\n")[:-1]


def environment():
    """Without what would configure the server."""
    return {name: it for name, it in os.environ.items() if not name.startswith("CAIRN_")}


def until(happened):
    """Waits for something that another process does."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"it did not happen within {PATIENCE_S} seconds"
        time.sleep(0.05)


def run(*command, **options):
    """A command to its end, whatever its exit status is."""
    command = [str(part) for part in command]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, **options)


def done(*command, **options):
    """What a command prints that must succeed."""
    ended = run(*command, **options)
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def verified(file, key):
    """The exit statuses of both verifiers of evidence files: the script of docs/formats.md, and cairn."""
    script = run(sys.executable, VERIFIER, "--file", file, "--vkey", key)
    ours = run(BIN / "cairn", "verify-export", file, "--vkey", key)
    return script.returncode, ours.returncode


def event(**members):
    """An event of our own schema."""
    whole = {
        "source": "urn:shop",
        "time": "2026-03-04T09:10:11Z",
        "action": "invoice.updated",
        "category": "data",
        "operation": "update",
        "outcome": "success",
        "actor": {"type": "user", "id": "u-17", "name": "Ana"},
        "targets": [{"type": "invoice", "id": "4711"}],
    }
    return whole | members
