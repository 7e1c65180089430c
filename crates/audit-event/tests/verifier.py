#!/usr/bin/env python3
"""A second reader of audit events, written from docs/formats.md alone, with the standard library alone.

    verifier.py DIR     recomputes every value of the vectors in DIR; silent if all agree

Signatures of checkpoints are not verified here: the standard library has no Ed25519.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

TAGS = ["core", "actor", "origin", "target", "changes", "detail", "raw"]
INTEGER_MAX = 2**53 - 1
UTC = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


class Unusable(Exception):
    """Exit status 2."""


class DoesNotHold(Exception):
    """Exit status 1."""


def holds(condition, what):
    if not condition:
        raise DoesNotHold(what)


def usable(condition, what):
    if not condition:
        raise Unusable(what)


# JSON, read strictly and written in one way.


def members(pairs):
    usable(len({key for key, _ in pairs}) == len(pairs), "a key twice")
    return dict(pairs)


def integer(spelling):
    usable(spelling == str(int(spelling)) and abs(int(spelling)) <= INTEGER_MAX, "a number")
    return int(spelling)


def refuse(spelling):
    raise Unusable(f"the number {spelling}")


def levels(value):
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(levels, value), default=0)
    return 0


def texts_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def read_json(data, number=integer, fraction=refuse):
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=members, parse_int=number, parse_float=fraction,
                           parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Unusable(str(error)) from error
    usable(not any("\ud800" <= c <= "\udfff" for t in texts_of(value) for c in t), "a surrogate")
    return value


def write_json(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical_object(data):
    try:
        value = read_json(data)
    except Unusable as error:
        raise DoesNotHold(f"not canonical: {error}") from error
    holds(isinstance(value, dict) and levels(value) <= 32, "not canonical")
    holds(write_json(value).encode() == data, "not canonical")
    return value


# Blocks of an event, as its sender wrote it.

PLACES = {
    "core": "id source time action category operation outcome outcome_code severity schema retention_class labels",
    "target": "targets description",
    "changes": "changes",
    "detail": "request trace metadata subject_ref producer_sig",
}
INSIDE = {
    "actor": "type id name email groups session_id auth_method on_behalf_of",
    "origin": "ip forwarded_for host user_agent country device",
    "on_behalf_of": "type id name",
    "schema": "name version",
    "targets": "type id name parent uid",
    "changes": "field old new",
    "request": "id method path",
    "trace": "trace_id span_id correlation_id",
    "producer_sig": "alg key_id sig",
}


class Number(str):
    """The spelling of a number."""


def pointer(path):
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def plain(value, path, numbers):
    """Numbers become integers, or texts that `numbers` names."""
    if isinstance(value, Number):
        exact = Decimal(value)
        if exact == exact.to_integral_value() and abs(exact) <= INTEGER_MAX:
            return int(exact)
        numbers.add(pointer(path))
        return str(value)
    if isinstance(value, dict):
        return {key: plain(inner, [*path, key], numbers) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner, [*path, at], numbers) for at, inner in enumerate(value)]
    return value


def absent(value):
    return value is None or value == [] and isinstance(value, list) or value == {} and isinstance(value, dict)


def known(value, name, path, unknown):
    """The members of one object that the schema knows; the others go to `unknown`."""
    kept = {}
    for key, inner in value.items():
        at = [*path, key]
        if key not in INSIDE[name].split():
            unknown[pointer(at)] = inner
        elif key == "on_behalf_of" and isinstance(inner, dict):
            kept[key] = known(inner, key, at, unknown)
        else:
            kept[key] = inner
    return {key: inner for key, inner in kept.items() if not absent(inner)}


def utc(text):
    """RFC 3339 in the one form that blocks have."""
    stated = re.fullmatch(r"(.{10})[Tt](.{8})(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", text)
    date, clock, fraction, zone = stated.groups()
    instant = datetime.strptime(date + "T" + clock, "%Y-%m-%dT%H:%M:%S")
    if zone not in "Zz":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        instant = instant - offset if zone[0] == "+" else instant + offset
    fraction = (fraction or "")[:9].rstrip("0")
    return instant.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


def blocks_of(sent):
    """The blocks of what a client sent, without anything that the server adds."""
    raw = read_json(sent, number=Number, fraction=Number)
    numbers, unknown = set(), {}
    event = plain(raw, [], numbers)
    blocks = {}
    for name, listed in PLACES.items():
        blocks[name] = {key: event[key] for key in listed.split() if not absent(event.get(key))}
    places = {key for listed in PLACES.values() for key in listed.split()} | {"actor", "origin"}
    unknown = {pointer([key]): value for key, value in event.items() if key not in places}
    for name in ("actor", "origin"):
        blocks[name] = known(event.get(name) or {}, name, [name], unknown)
    for name, key in (("core", "schema"), ("detail", "request"), ("detail", "trace"), ("detail", "producer_sig")):
        if key in blocks[name]:
            blocks[name][key] = known(blocks[name][key], key, [key], unknown)
    for name, key in (("target", "targets"), ("changes", "changes")):
        items = blocks[name].get(key, [])
        items = [known(item, key, [key, at], unknown) for at, item in enumerate(items)]
        if items:
            blocks[name][key] = items
    metadata = blocks["detail"].get("metadata", {})
    blocks["detail"]["metadata"] = {key: value for key, value in metadata.items() if not absent(value)}
    if "time" in blocks["core"]:
        blocks["core"]["time"] = utc(blocks["core"]["time"])
    inside = {p for p in numbers if any(p == u or p.startswith(u + "/") for u in unknown)}
    if numbers - inside:
        blocks["detail"]["numbers"] = sorted(numbers - inside)
    written = []
    for name in TAGS[:6]:
        block = {key: value for key, value in blocks[name].items() if not absent(value)}
        if block:
            written.append((TAGS.index(name) + 1, write_json(block)))
    if unknown:
        if inside:
            unknown["numbers"] = sorted(inside)
        written.append((7, write_json(unknown)))
    return written


# Digests.


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def commitment(tag, salt, data):
    return mac(salt, bytes([1, tag]), data)


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def cut(text, most):
    return text.encode()[:most].decode(errors="ignore")


def read_leaf(leaf):
    usable(leaf[:4] == b"AEL1" and len(leaf) >= 13, "no leaf")
    received, count = int.from_bytes(leaf[4:12], "big"), leaf[12]
    usable(1 <= count <= 7 and len(leaf) == 13 + 33 * count, "the leaf's length")
    parts = {leaf[at]: leaf[at + 1:at + 33] for at in range(13, len(leaf), 33)}
    tags = [leaf[at] for at in range(13, len(leaf), 33)]
    usable(tags[0] == 1 and tags == sorted(set(tags)) and tags[-1] <= 7, "the leaf's tags")
    return received, parts


# An evidence file.


def unbase64(text):
    usable(isinstance(text, str), "base64 is a text")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Unusable("base64") from error
    usable(base64.b64encode(data).decode() == text, "base64")
    return data


def exactly(value, **types):
    usable(isinstance(value, dict) and set(value) == set(types), "members")
    for name, kind in types.items():
        usable(type(value[name]) in (kind if isinstance(kind, tuple) else (kind,)), name)
        usable(kind is not int or value[name] >= 0, name)
    return value


def tag_list(value):
    usable(isinstance(value, list) and all(name in TAGS for name in value), "a list of blocks")
    numbers = [TAGS.index(name) + 1 for name in value]
    usable(numbers == sorted(set(numbers)), "the order of blocks")
    return set(numbers)


def nanoseconds(text):
    """An instant in UTC, or None."""
    parts = UTC.fullmatch(text) if isinstance(text, str) else None
    if not parts:
        return None
    try:
        whole = datetime(*(int(part) for part in parts.groups()[:6]))
    except ValueError:
        return None
    fraction = int((parts[7] or "0").ljust(9, "0"))
    return (whole - datetime(1970, 1, 1)) // timedelta(seconds=1) * 10**9 + fraction


def read_filter(value):
    for name, member in value.items():
        if name in ("from", "to"):
            usable(nanoseconds(member) is not None, name)
        elif name == "time":
            usable(member in ("received", "event"), name)
        else:
            usable(isinstance(member, list) and all(isinstance(it, str) for it in member), name)
    return value


CORE = (PLACES["core"] + " flags").split()


def can_decide(wanted):
    return all(name in (*CORE, "flag", "label", "from", "to", "time") for name in wanted)


def matches(wanted, core, received):
    if "from" in wanted or "to" in wanted:
        event = wanted.get("time") == "event"
        time = nanoseconds(core.get("time")) if event else received
        if time is None:
            return False
        if "from" in wanted and time < nanoseconds(wanted["from"]):
            return False
        if "to" in wanted and time >= nanoseconds(wanted["to"]):
            return False
    for name, texts in wanted.items():
        if name in ("from", "to", "time"):
            continue
        if name == "flag":
            flags = core.get("flags")
            found = flags if isinstance(flags, list) else []
        elif name == "label":
            labels = core.get("labels")
            found = [f"{k}={v}" for k, v in labels.items() if isinstance(v, str)] if isinstance(labels, dict) else []
        elif name not in core:
            found = []
        else:
            value = core[name]
            found = [value if isinstance(value, str) else write_json(value)]
        if not any(text in found for text in texts):
            return False
    return True


def root_of(leaves, size, proof):
    """The root that follows from a batch proof."""
    hashes, known = iter(proof), dict(leaves)
    last = size - 1
    holds(known and max(known) <= last, "an index beyond the tree")
    while last > 0:
        above = {}
        for at in sorted(known):
            if at // 2 in above:
                continue
            sibling = at ^ 1
            if sibling in known:
                pair = (known[at], known[sibling])
            elif sibling > last:
                above[at // 2] = known[at]
                continue
            else:
                found = next(hashes, None)
                holds(found is not None, "a hash is missing")
                pair = (known[at], found)
            left, right = pair if at % 2 == 0 else pair[::-1]
            above[at // 2] = hashlib.sha256(b"\1" + left + right).digest()
        known, last = above, last // 2
    holds(next(hashes, None) is None, "a hash too many")
    return known[0]


def read_proof(data):
    usable(data.endswith(b"\n"), "an unended proof")
    lines = data[:-1].decode("ascii", "replace").split("\n")
    usable(lines[0] == "cairn/batch-proof@v1" and len(lines) > 1, "a proof's first lines")
    usable(re.fullmatch(r"0|[1-9][0-9]*", lines[1]), "a proof's size")
    hashes = [unbase64(line) for line in lines[2:]]
    usable(all(len(it) == 32 for it in hashes), "a proof's hash")
    return int(lines[1]), hashes


def read_line(data):
    line = exactly(read_json(data), index=int, leaf=str, blocks=dict, withheld=list, erased=list)
    received, commitments = read_leaf(unbase64(line["leaf"]))
    blocks = {}
    usable(set(line["blocks"]) <= set(TAGS), "a block's name")
    for name, block in line["blocks"].items():
        exactly(block, salt=str, **{"base64" if name == "raw" else "text": str})
        salt = unbase64(block["salt"])
        usable(len(salt) == 16, "a salt's length")
        data = unbase64(block["base64"]) if name == "raw" else block["text"].encode()
        blocks[TAGS.index(name) + 1] = (salt, data)
    withheld, erased = tag_list(line["withheld"]), tag_list(line["erased"])
    return line["index"], unbase64(line["leaf"]), received, commitments, blocks, withheld, erased


COLUMNS = """index received_at time source id action category operation outcome outcome_code severity sentence actor.type
actor.id actor.name actor.email actor.groups actor.session_id actor.auth_method actor.on_behalf_of origin.ip
origin.forwarded_for origin.host origin.user_agent origin.country origin.device targets description changes request.id
request.method request.path trace.trace_id trace.span_id trace.correlation_id metadata labels flags truncated numbers schema
retention_class writer raw_content_type withheld erased leaf_hash""".split()


def seen(value):
    """The value of a cell."""
    if absent(value):
        return None
    return value if isinstance(value, str) else write_json(value)


def cells(index, leaf, received, objects, withheld, erased):
    names = {name: sorted(tags) for name, tags in (("withheld", withheld), ("erased", erased))}
    whole = datetime(1970, 1, 1) + timedelta(seconds=received // 10**9)
    row = {
        "index": str(index),
        "received_at": whole.strftime("%Y-%m-%dT%H:%M:%S") + f".{received % 10**9:09}Z",
        "leaf_hash": leaf_hash(leaf).hex(),
        **{name: write_json([TAGS[tag - 1] for tag in tags]) for name, tags in names.items()},
    }
    for name in COLUMNS:
        outer, _, inner = name.partition(".")
        if outer in ("actor", "origin"):
            row[name] = seen(objects.get(TAGS.index(outer) + 1, {}).get(inner))
        elif inner:
            value = objects.get(6, {}).get(outer)
            row[name] = seen(value.get(inner)) if isinstance(value, dict) else None
        elif name not in row:
            block = next((it for it, listed in PLACES.items() if name in listed.split()), "detail")
            block = "core" if name == "flags" else block
            row[name] = seen(objects.get(TAGS.index(block) + 1, {}).get(name))
    return [row[name] for name in COLUMNS]


HIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def csv_cell(value):
    if value is None:
        return ""
    formula = value[:1] in list("=+-@'\t\r\n\uff1d\uff0b\uff0d\uff20")
    formula = formula and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
    text = HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    text = "'" + text if formula else text
    if formula or text == "" or any(c in text for c in ',;"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_rows(text, separator):
    row, cell, quoted, at = [], "", False, 0
    while at < len(text):
        if not quoted and text.startswith("\r\n", at):
            yield [*row, cell]
            row, cell, at = [], "", at + 2
            continue
        if text[at] == separator and not quoted:
            row, cell = [*row, cell], ""
        else:
            quoted ^= text[at] == '"'
            cell += text[at]
        at += 1
    holds(row == [] and cell == "", "a row that does not end")


def item(index, leaf, received, objects, withheld, erased):
    merged = {}
    for tag, block in sorted(objects.items()):
        merged.update({TAGS[tag - 1]: block} if tag in (2, 3) else block)
    row = dict(zip(COLUMNS, cells(index, leaf, received, objects, withheld, erased)))
    merged.update(index=index, received_at=row["received_at"], leaf_hash=row["leaf_hash"],
                  withheld=json.loads(row["withheld"]), erased=json.loads(row["erased"]))
    return merged


def check_views(files, events):
    if "events.csv" in files:
        text = files["events.csv"].decode("utf-8").removeprefix("\ufeff")
        separator = ";" if text.startswith("index;") else ","
        rows = list(csv_rows(text, separator))
        holds(rows and rows[0] == COLUMNS and len(rows) == len(events) + 1, "the rows of events.csv")
        for row, event in zip(rows[1:], events):
            made = [csv_cell(value) for value in cells(*event)]
            at = COLUMNS.index("sentence")
            holds(row[:at] + row[at + 1:] == made[:at] + made[at + 1:], "a row of events.csv")
    if "events.json" in files:
        try:
            found = read_json(files["events.json"])
        except Unusable as error:
            raise DoesNotHold("events.json") from error
        holds(found == [item(*event) for event in events], "events.json")


def check_manifest(files):
    manifest = exactly(read_json(files["manifest.json"]), format=str, log=str, origin=str, tree_size=int, made_at=str,
                       made_by=str, purpose=str, filter=dict, filter_text=str, time_zone=str, events=int,
                       complete=(dict, type(None)), withheld=list, files=dict)
    usable(manifest["format"] == "cairn-evidence@v1", "the format")
    read_filter(manifest["filter"])
    if manifest["complete"] is not None:
        complete = exactly(manifest["complete"], start=int, end=int)
        usable(complete["start"] <= complete["end"], "complete")
    for fact in manifest["files"].values():
        exactly(fact, bytes=int, sha256=str)
        usable(re.fullmatch("[0-9a-f]{64}", fact["sha256"]), "sha256")
    proofs = [f"proofs/{number + 1:06}.txt" for number in range(-(-manifest["events"] // 10_000))]
    required = {"READ ME FIRST.txt", "checkpoint", "events.ndjson", "keys.txt", "policy.txt", "verify.html", *proofs}
    listed = set(manifest["files"])
    usable(required <= listed <= required | {"events.csv", "events.json", "events.parquet"}, "the list of files")
    usable(listed == set(files) - {"manifest.json"}, "the files")
    return manifest, proofs


def check_complete(manifest, size, lines):
    start, end = manifest["complete"]["start"], manifest["complete"]["end"]
    wanted = manifest["filter"]
    holds(end <= size and [line[0] for line in lines] == list(range(start, end)), "the range")
    if wanted.get("time") == "event" or not ("from" in wanted or "to" in wanted):
        return holds((start, end) == (0, size), "the whole tree")
    if start != 0:
        holds(lines and "from" in wanted and lines[0][2] < nanoseconds(wanted["from"]), "the first edge")
    if end != size:
        holds(lines and "to" in wanted and lines[-1][2] >= nanoseconds(wanted["to"]), "the last edge")


def check_line(line, manifest, announced):
    _, _, received, commitments, blocks, withheld, erased = line
    shown = set(blocks)
    holds(not withheld & erased and not shown & (withheld | erased), "a block twice")
    holds(shown | withheld | erased == set(commitments), "the leaf's blocks")
    holds(1 not in withheld, "core withheld")
    holds(not shown & announced, "a block that is said to be withheld")
    for tag, (salt, data) in blocks.items():
        holds(commitment(tag, salt, data) == commitments[tag], TAGS[tag - 1])
    objects = {tag: canonical_object(data) for tag, (_, data) in blocks.items() if tag != 7}
    complete = manifest["complete"] is not None
    holds(withheld <= announced or complete and shown <= {1}, "a block withheld unannounced")
    if complete and can_decide(manifest["filter"]) and 1 in objects:
        matched = matches(manifest["filter"], objects[1], received)
        holds(withheld <= announced if matched else shown == {1}, "the filter")
    return objects


def verify(files):
    """Exit status of a whole file, signatures aside."""
    try:
        manifest, proofs = check_manifest(files)
        text = files["events.ndjson"]
        usable(text == b"" or text.endswith(b"\n"), "an unended line")
        lines = [read_line(line) for line in text.split(b"\n")[:-1]]
        read = [read_proof(files[name]) for name in proofs]
        for name, fact in manifest["files"].items():
            digest = hashlib.sha256(files[name]).hexdigest()
            holds(fact == {"bytes": len(files[name]), "sha256": digest}, name)
        origin, size, root = files["checkpoint"].decode().split("\n")[:3]
        holds(origin == manifest["origin"] and int(size) == manifest["tree_size"], "the checkpoint")
        holds(len(lines) == manifest["events"], "the number of lines")
        for before, after in zip(lines, lines[1:]):
            holds(before[0] < after[0] and before[2] <= after[2], "the order of lines")
        announced, events, pairs = tag_list(manifest["withheld"]), [], set()
        for line in lines:
            objects = check_line(line, manifest, announced)
            pair = [objects.get(1, {}).get(name) for name in ("source", "id")]
            if all(isinstance(text, str) for text in pair):
                holds(tuple(pair) not in pairs, "a source and id twice")
                pairs.add(tuple(pair))
            events.append((line[0], line[1], line[2], objects, line[5], line[6]))
        for number, (proved, hashes) in enumerate(read):
            holds(proved == int(size), "a proof's size")
            leaves = {line[0]: leaf_hash(line[1]) for line in lines[number * 10_000:(number + 1) * 10_000]}
            holds(root_of(leaves, proved, hashes) == unbase64(root), "a proof")
        if manifest["complete"] is not None:
            check_complete(manifest, int(size), lines)
        check_views(files, events)
    except Unusable as error:
        return 2, str(error)
    except DoesNotHold as error:
        return 1, str(error)
    return 0, ""


# The vectors.


def same(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found!r} is not {expected!r}")


def check_event(case):
    name, secret = case["name"], bytes.fromhex(case["secret"])
    leaf = b"AEL1" + int(case["received_at_ns"]).to_bytes(8, "big") + bytes([len(case["blocks"])])
    for block in case["blocks"]:
        salt, tag = bytes.fromhex(block["salt"]), block["tag"]
        data = block["text"].encode() if tag < 7 else base64.b64decode(block["base64"])
        if tag < 7:
            canonical_object(data)
        same(commitment(tag, salt, data).hex(), block["commitment"], f"{name}, commitment {tag}")
        same((bytes([1, 0, 0, 0, 0]) + salt + data).hex(), block["row"], f"{name}, row {tag}")
        leaf += bytes([tag]) + commitment(tag, salt, data)
    same(leaf.hex(), case["leaf"], f"{name}, leaf")
    same(leaf_hash(leaf).hex(), case["leaf_hash"], f"{name}, leaf hash")
    read_leaf(leaf)
    core = json.loads(case["blocks"][0]["text"])
    source, identity = core["source"].encode(), core["id"].encode()
    source = len(source).to_bytes(2, "big") + source
    same(mac(secret, b"\3", source, identity).hex(), case["event_key"], f"{name}, event key")
    sent = base64.b64decode(case["sent"])
    if case["foreign"]:
        digest = mac(secret, b"\4", source, sent)
        of_item = mac(secret, b"\5", sent).hex()
        same("h:" + of_item[:32], case["id_of_item"], f"{name}, id of the item")
        same(cut(core["id"], 111) + "#" + of_item[:16], case["id_of_reused"], f"{name}, reused id")
    else:
        parts = [(tag, text.encode()) for tag, text in blocks_of(sent)]
        digest = mac(secret, b"\4", *(bytes([tag]) + len(it).to_bytes(4, "big") + it for tag, it in parts))
        # What the server adds is all that differs.
        added = {tag: json.loads(text) for tag, text in parts if tag < 7}
        for block in case["blocks"]:
            if block["tag"] < 7:
                stored = json.loads(block["text"])
                said = added.get(block["tag"], {})
                same({key: stored.get(key) for key in said}, said, f"{name}, block {block['tag']}")
    same(digest.hex(), case["digest"], f"{name}, content digest")
    once = int(case["index"]).to_bytes(8, "big") + leaf_hash(leaf)
    same((once + digest).hex(), case["once"], f"{name}, once-only row")


def check_refused(refused):
    for text in refused["texts"]:
        try:
            canonical_object(bytes.fromhex(text))
        except DoesNotHold:
            continue
        sys.exit(f"the text {bytes.fromhex(text)!r} is not refused")
    for leaf in refused["leaves"]:
        try:
            read_leaf(bytes.fromhex(leaf))
        except Unusable:
            continue
        sys.exit(f"the leaf {leaf} is not refused")


def altered(files, case):
    files = dict(files)
    name, found, instead = case["file"], case["find"], case["replace"]
    text = files[name].decode()
    if found not in text:
        sys.exit(f"{case['name']}: {found!r} is not in {name}")
    files[name] = text.replace(found, instead, 1).encode()
    if case["sealed"]:
        manifest = json.loads(files["manifest.json"])
        data = files[name]
        old = f'"{name}":{write_fact(manifest["files"][name])}'
        new = f'"{name}":' + write_fact({"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        files["manifest.json"] = files["manifest.json"].decode().replace(old, new).encode()
    return files


def write_fact(fact):
    return f'{{"bytes":{fact["bytes"]},"sha256":"{fact["sha256"]}"}}'


def main(folder):
    for case in json.loads((folder / "events.json").read_text()):
        check_event(case)
    check_refused(json.loads((folder / "refused.json").read_text()))
    evidence = json.loads((folder / "evidence.json").read_text())
    files = {name: text.encode() for name, text in evidence["files"].items()}
    same(verify(files), (0, ""), "the evidence file")
    for case in evidence["altered"]:
        status, why = verify(altered(files, case))
        same(status, case["status"], f"{case['name']} ({why})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
