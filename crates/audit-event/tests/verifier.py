#!/usr/bin/env python3
"""A second reader of audit events, written from docs/formats.md alone, with the standard library alone.

    verifier.py DIR                             recomputes every value of the vectors in DIR; silent if all agree
    verifier.py --file FILE|DIR --vkey KEY      verifies an evidence file; exits with 0, 1 or 2
    verifier.py --file FILE|DIR --policy FILE   the same
    verifier.py --table DIR                     verifies every file that DIR/expected.json names

Parquet and signatures by ML-DSA are not examined here.
"""

import base64
import hashlib
import hmac
import json
import re
import stat
import struct
import sys
import zlib
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
    usable(len(data) <= 8 * 2**20, "a line is too long")
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
        try:
            text = files["events.csv"].decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise DoesNotHold("events.csv") from error
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
    usable("manifest.json" in files, "the manifest is missing")
    usable(len(files["manifest.json"]) <= 4 * 2**20, "the manifest is too large")
    manifest = exactly(read_json(files["manifest.json"]), format=str, log=str, origin=str, tree_size=int, made_at=str,
                       made_by=str, purpose=str, filter=dict, filter_text=str, time_zone=str, events=int,
                       complete=(dict, type(None)), withheld=list, files=dict)
    usable(manifest["format"] == "cairn-evidence@v1", "the format")
    usable(manifest["events"] <= 10_000_000, "too many events")
    read_filter(manifest["filter"])
    tag_list(manifest["withheld"])
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


def verify(files, trust=None):
    """Exit status of a whole file; without whom to trust, signatures aside."""
    try:
        manifest, proofs = check_manifest(files)
        text = files["events.ndjson"]
        usable(text == b"" or text.endswith(b"\n"), "an unended line")
        lines = [read_line(line) for line in text.split(b"\n")[:-1]]
        read = [read_proof(files[name]) for name in proofs]
        read_note(files["checkpoint"])
        for name, fact in manifest["files"].items():
            digest = hashlib.sha256(files[name]).hexdigest()
            holds(fact == {"bytes": len(files[name]), "sha256": digest}, name)
        (origin, size, root), body, signatures = read_note(files["checkpoint"])
        if trust is not None:
            check_trust(trust, origin, body, signatures)
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


# Signatures (RFC 8032, section 6) of notes, and policies of witnesses.

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    low, high = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    t, z = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = high - low, z - t, z + t, high + low
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, point):
    result = (0, 1, 1, 0)
    while number > 0:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def point_of(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * ROOT % P
    if (x * x - square) % P != 0 or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(key, message, signature):
    a, r = point_of(key), point_of(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or len(signature) != 64 or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(h, a))
    return all((left[at] * right[2] - right[at] * left[2]) % P == 0 for at in (0, 1))


def read_note(data):
    """The first three lines of a checkpoint, what is signed, and the signatures by name and key."""
    try:
        body, found, lines = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise Unusable("the checkpoint") from error
    parts = body.split("\n")
    usable(found and len(parts) >= 3 and lines.endswith("\n"), "the checkpoint")
    usable(parts[0] and re.fullmatch("0|[1-9][0-9]*", parts[1]) and len(unbase64(parts[2])) == 32, "the checkpoint")
    usable("\r" not in body, "the checkpoint")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, signature = rest.partition(" ")
        usable(dash == "\u2014" and name and len(unbase64(signature)) > 4, "a signature")
        signatures.append((name, unbase64(signature)[:4], unbase64(signature)[4:]))
    return parts[:3], (body + "\n").encode(), signatures


def read_key(text):
    name, stated, data = text.split("+", 2)
    data = unbase64(data)
    digest = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    usable(digest.hex() == stated and data[0] in (1, 4, 6), "a key")
    return name, digest, data[0], data[1:]


def has_signed(key, body, signatures):
    name, number, kind, public = key
    for signature in (found for by, of, found in signatures if (by, of) == (name, number)):
        if kind == 1:
            return is_signed(public, body, signature)
        if kind == 4 and len(signature) == 72:
            time = int.from_bytes(signature[:8], "big")
            return is_signed(public, b"cosignature/v1\ntime %d\n" % time + body, signature[8:])
    return False


def read_policy(text):
    logs, named, quorum = [], {}, None
    for words in (line.split() for line in text.split("\n") if line and not line.startswith("#")):
        if words[0] == "log":
            logs.append(read_key(words[1]))
        elif words[0] == "witness":
            named[words[1]] = read_key(words[2])
        elif words[0] == "group":
            least = {"any": 1, "all": len(words) - 3}.get(words[2]) or int(words[2])
            named[words[1]] = (least, words[3:])
        elif words[0] == "quorum":
            quorum = words[1]
    return logs, named, quorum


def is_quorum(name, named, body, signatures):
    if name == "none":
        return True
    if len(named[name]) == 2:
        least, members = named[name]
        return sum(is_quorum(member, named, body, signatures) for member in members) >= least
    return has_signed(named[name], body, signatures)


def check_trust(trust, origin, body, signatures):
    logs, named, quorum = trust
    usable(logs, "no key")
    holds(any(key[0] == origin and has_signed(key, body, signatures) for key in logs), "the signature")
    holds(is_quorum(quorum, named, body, signatures), "the quorum")


# Folders and zip archives.

FILES_MAX = 1_100


def is_known(name):
    plain = """manifest.json events.ndjson checkpoint keys.txt policy.txt verify.html events.csv events.json
    events.parquet""".split()
    proof = re.fullmatch(r"proofs/([0-9]{6})\.txt", name)
    return name == "READ ME FIRST.txt" or name in plain or bool(proof) and 1 <= int(proof[1]) <= 1_000


def read_folder(folder):
    files = {}
    for path in [*folder.iterdir(), *(folder / "proofs").glob("*")]:
        name = path.relative_to(folder).as_posix()
        kind = path.lstat().st_mode
        if stat.S_ISDIR(kind) and name == "proofs":
            continue
        usable(is_known(name) and stat.S_ISREG(kind), f"the file {name}")
        usable(len(files) < FILES_MAX, "too many files")
        files[name] = path.read_bytes()
    return files


def zip64(extra, wanted):
    """The numbers of the one ZIP64 field among extra fields."""
    found, at = [], 0
    while at < len(extra):
        usable(at + 4 <= len(extra), "extra fields")
        kind, length = struct.unpack_from("<HH", extra, at)
        usable(at + 4 + length <= len(extra), "extra fields")
        if kind == 1:
            found.append(extra[at + 4:at + 4 + length])
        at += 4 + length
    usable(len(found) == 1 and len(found[0]) >= 8 * wanted, "ZIP64")
    return list(struct.unpack_from(f"<{wanted}Q", found[0]))


def zip_directory(data):
    """Where the directory begins and ends, and how many entries it has."""
    usable(len(data) >= 22, "the end of the archive")
    end = len(data) - 22
    signature, _, here, count, size, start, comment = struct.unpack_from("<IIHHIIH", data, end)
    usable(signature == 0x06054B50 and here == count and comment == 0, "the end of the archive")
    if end < 20 or data[end - 20:end - 16] != b"PK\6\7":
        usable(start + size == end, "the directory")
        return start, end, count
    (at,) = struct.unpack_from("<Q", data, end - 12)
    usable(at + 56 == end - 20, "the ZIP64 end")
    signature, rest, _, _, here, count64, size64, start64 = struct.unpack_from("<IQIQQQQQ", data, at)
    usable(signature == 0x06064B50 and rest == 44 and here == count64 and start64 + size64 == at, "the ZIP64 end")
    for small, most, large in ((count, 2**16 - 1, count64), (size, 2**32 - 1, size64), (start, 2**32 - 1, start64)):
        usable(small in (most, large), "the ends contradict each other")
    return start64, at, count64


def zip_entries(data):
    at, end, count = zip_directory(data)
    usable(count <= FILES_MAX and end - at <= 2**20, "too many files")
    entries, begin = [], at
    for _ in range(count):
        usable(at + 46 <= end, "the directory")
        header = struct.unpack_from("<IIHHIIIIHHHIII", data, at)
        signature, _, flags, method, _, crc, packed, size, names, extras, comment, _, attributes, offset = header
        usable(signature == 0x02014B50 and at + 46 + names + extras <= end, "the directory")
        name = data[at + 46:at + 46 + names].decode("ascii", "replace")
        extra = data[at + 46 + names:at + 46 + names + extras]
        usable(is_known(name) and comment == 0 and flags & ~0x808 == 0 and method in (0, 8), f"the entry {name}")
        usable(attributes >> 28 in (0, 8), f"{name} is a link")
        wide = [it == 2**32 - 1 for it in (size, packed, offset)]
        large = iter(zip64(extra, sum(wide)) if any(wide) else [])
        size, packed, offset = (next(large) if w else it for w, it in zip(wide, (size, packed, offset)))
        entries.append((offset, name, flags, method, crc, packed, size))
        at += 46 + names + extras
    usable(at == end, "the directory")
    return sorted(entries), begin


def zip_data(data, entry, end):
    """The data of an entry that ends where the next one begins."""
    offset, name, flags, method, crc, packed, size = entry
    usable(offset + 30 <= end, f"the place of {name}")
    header = struct.unpack_from("<IHHHIIIIHH", data, offset)
    signature, _, flags2, method2, _, crc2, packed2, size2, names, extras = header
    start = offset + 30 + names + extras
    usable(start + packed <= end, f"the place of {name}")
    found = data[offset + 30:offset + 30 + names]
    usable(signature == 0x04034B50 and (flags2, method2) == (flags, method) and found == name.encode(), name)
    behind = data[start + packed:end]
    if flags & 8:
        usable(len(behind) in (12, 16, 20, 24), f"the descriptor of {name}")
        usable(len(behind) in (12, 20) or behind[:4] == b"PK\7\x08", f"the descriptor of {name}")
        behind = behind[4:] if len(behind) in (16, 24) else behind
        stated = struct.unpack("<III" if len(behind) == 12 else "<IQQ", behind)
        usable(stated == (crc, packed, size), f"the descriptor of {name}")
    else:
        if 2**32 - 1 in (packed2, size2):
            large = zip64(data[offset + 30 + names:start], 2)
            size2 = large[0] if size2 == 2**32 - 1 else size2
            packed2 = large[1] if packed2 == 2**32 - 1 else packed2
        usable((crc2, packed2, size2) == (crc, packed, size) and not behind, f"the header of {name}")
    unpacked = data[start:start + packed]
    if method == 8:
        stream = zlib.decompressobj(-15)
        try:
            unpacked = stream.decompress(unpacked, size + 1)
        except zlib.error as error:
            raise Unusable(f"the data of {name}") from error
        usable(stream.eof and not stream.unused_data, f"the data of {name}")
    usable(len(unpacked) == size and zlib.crc32(unpacked) == crc, f"the checksum of {name}")
    return unpacked


def read_zip(data):
    entries, end_of_last = zip_entries(data)
    files, begin = {}, 0
    for entry, end in zip(entries, [entry[0] for entry in entries[1:]] + [end_of_last]):
        usable(entry[0] == begin and entry[1] not in files, f"the place of {entry[1]}")
        files[entry[1]] = zip_data(data, entry, end)
        begin = end
    usable(begin == end_of_last, "the place of the directory")
    return files


def verify_path(path, arguments, folder):
    """Exit status of an evidence file on disk."""
    try:
        kind, value = arguments
        if kind == "--policy":
            trust = read_policy((folder / value).read_text())
        else:
            keys = (folder / value[1:]).read_text() if value.startswith("@") else value
            trust = [read_key(key) for key in keys.split("\n") if key], {}, "none"
        files = read_folder(path) if path.is_dir() else read_zip(path.read_bytes())
    except Unusable as error:
        return 2, str(error)
    return verify(files, trust)


def check_table(folder):
    wrong = []
    for case in json.loads((folder / "expected.json").read_text()):
        status, why = verify_path(folder / case["name"], case["arguments"], folder)
        if status != case["status"] and not case["parquet_alone"]:
            wrong.append(f"{case['name']}: {case['status']} expected, not {status} ({why})")
    if wrong:
        sys.exit("\n".join(wrong))


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
    if sys.argv[1] == "--table":
        check_table(Path(sys.argv[2]))
    elif sys.argv[1] == "--file":
        status, why = verify_path(Path(sys.argv[2]), sys.argv[3:5], Path())
        print(why or "all holds")
        sys.exit(status)
    else:
        main(Path(sys.argv[1]))
