"""The audit webhook of a kube-apiserver: posts that one made, or posts of the same shape, and its retries.

`CAIRN_TEST_KUBERNETES` names a folder with recorded bodies in files that end in .json.
"""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from harness import PATIENCE_S
from samples import kubernetes_item, kubernetes_list

# As Go's client sends them.
HEADERS = {"Content-Type": "application/json", "User-Agent": "Go-http-client/1.1",
           "Accept-Encoding": "gzip", "Accept": None}


def posts():
    """Bodies: one item each, as the blocking mode sends them, and large batches."""
    folder = os.environ.get("CAIRN_TEST_KUBERNETES")
    if folder:
        bodies = [file.read_bytes() for file in sorted(Path(folder).rglob("*.json"))]
        assert bodies, f"CAIRN_TEST_KUBERNETES: no file in {folder} ends in .json"
        return bodies
    large = {"requestObject": {"data": {"a": "x" * 200_000}}}
    verbs = ["get", "list", "create"]

    def items(batch, count):
        return [kubernetes_item(f"{batch}-{at}", verbs[at % 3], **(large if at == 7 else {}))
                for at in range(count)]

    counts = [1] * 46 + [400] * 8
    return [kubernetes_list(items(batch, count)) for batch, count in enumerate(counts)]


def items_of(body):
    """The bytes of each item, as they stand in the body."""
    text, decoder, items = body.decode(), json.JSONDecoder(), []
    at = text.index("[", text.index('"items"')) + 1
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" \n\t,"))
        if text[at] == "]":
            return items
        _, end = decoder.raw_decode(text, at)
        items.append(text[at:end].encode())
        at = end


def post(server, body):
    """One post; like the apiserver, it reads nothing of the answer but the status."""
    answer = requests.post(f"{server.url}/v1/k8s/prod/audit?timeout=30s", body, headers=HEADERS,
                           timeout=PATIENCE_S, allow_redirects=False)
    return answer.status_code


def post_until_taken(server, body):
    """The same bytes again and again, until they are taken. The apiserver's pauses are longer."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if post(server, body) == 200:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise AssertionError("the post was not taken in time")


def once_each(server, bodies):
    taken = server.taken()
    expected = {item for body in bodies for item in items_of(body)}
    assert sorted(it["raw"] for it in taken) == sorted(expected)
    assert {it["source"] for it in taken} == {"k8s://prod"}
    assert all(it["id"].startswith("h:") for it in taken)
    assert not server.malformed()


def test_posts_and_their_retries_give_each_item_once(server):
    bodies = posts()
    # One connection a batch, many at a time, and every second one sent again as after a lost answer.
    with ThreadPoolExecutor(8) as pool:
        repeated = bodies + bodies[::2]
        assert set(pool.map(lambda body: post(server, body), repeated)) == {200}
    once_each(server, bodies)


def test_posts_while_the_server_restarts_give_each_item_once(server):
    bodies = posts()
    several = threading.Semaphore(0)

    def send(body):
        post_until_taken(server, body)
        several.release()

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send, body) for body in bodies]
        for _ in range(5):
            assert several.acquire(timeout=PATIENCE_S)
        server.stop()
        server.start()
        for one in sent:
            one.result()
    once_each(server, bodies)


def test_what_cannot_be_read_is_kept_once_though_sent_six_times(server):
    good, bad = kubernetes_item("a", "get"), {"auditID": "b", "stage": "ResponseComplete"}
    mixed, none = kubernetes_list([good, bad]), b"not json"
    assert [post(server, mixed) for _ in range(6)] == [200] * 6
    assert [post(server, none) for _ in range(6)] == [400] * 6
    assert [it["raw"] for it in server.taken()] == items_of(mixed)[:1]
    assert [it["raw"] for it in server.malformed()] == [items_of(mixed)[1], none]
