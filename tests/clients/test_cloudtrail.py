"""`aws cloudtrail validate-logs` beside `cairn import cloudtrail`, on the same digests.

The trail is made here with a key of its own. Moto serves it to the AWS CLI; cairn reads what the CLI
itself saves of it: the objects, their metadata and the list of public keys.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import sys
from datetime import datetime, timedelta

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from moto.cloudtrail.responses import CloudTrailResponse
from moto.server import ThreadedMotoServer

from harness import BIN, run

ACCOUNT, REGION, TRAIL, BUCKET = "123456789012", "us-east-1", "main", "trail-bucket"
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{TRAIL}"
START = datetime(2026, 3, 1)
HOURS = 5
# The hour in which nothing happened has a digest all the same.
QUIET_HOUR = 2
CREDENTIALS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
FINGERPRINT = hashlib.md5(DER).hexdigest()


def list_public_keys(_response):
    """What moto lacks."""
    key = {"Value": base64.b64encode(DER).decode(), "Fingerprint": FINGERPRINT,
           "ValidityStartTime": (START - timedelta(days=60)).timestamp(),
           "ValidityEndTime": (START + timedelta(days=60)).timestamp()}
    return json.dumps({"PublicKeyList": [key]})


@pytest.fixture(scope="module")
def aws():
    """The address of a moto that serves S3 and CloudTrail."""
    patch = pytest.MonkeyPatch()
    patch.setattr(CloudTrailResponse, "list_public_keys", list_public_keys, raising=False)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()
    patch.undo()


def iso(time):
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def day(kind):
    return f"AWSLogs/{ACCOUNT}/{kind}/{REGION}/{START:%Y/%m/%d}/{ACCOUNT}_{kind}_{REGION}"


def log_file(hour):
    """Key and content of an hour's log file."""
    time = START + timedelta(hours=hour, minutes=20)
    record = {"eventVersion": "1.10", "eventTime": iso(time), "eventName": "DeleteBucket",
              "eventSource": "s3.amazonaws.com", "awsRegion": REGION, "eventID": f"event-{hour}",
              "recipientAccountId": ACCOUNT, "sourceIPAddress": "192.0.2.7",
              "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/ana"}}
    return f"{day('CloudTrail')}_{time:%Y%m%dT%H%MZ}_{hour:016}.json.gz", packed({"Records": [record]})


def packed(document):
    return gzip.compress(json.dumps(document).encode(), mtime=0)


def digest_file(hour, logs, previous):
    """Key, content and signature of the digest of an hour, which names the one before."""
    start, end = START + timedelta(hours=hour), START + timedelta(hours=hour + 1)
    key = f"{day('CloudTrail-Digest')}_{TRAIL}_{REGION}_{end:%Y%m%dT%H%M%SZ}.json.gz"
    names = ("previousDigestS3Bucket", "previousDigestS3Object", "previousDigestHashValue",
             "previousDigestHashAlgorithm", "previousDigestSignature")
    before = (None,) * 5
    if previous:
        earlier, content, signature = previous
        before = (BUCKET, earlier, sha256(content), "SHA-256", signature)
    files = [{"s3Bucket": BUCKET, "s3Object": name, "hashValue": sha256(content),
              "hashAlgorithm": "SHA-256", "newestEventTime": iso(start), "oldestEventTime": iso(start)}
             for name, content in logs]
    digest = dict(zip(names, before)) | {
        "awsAccountId": ACCOUNT, "digestStartTime": iso(start), "digestEndTime": iso(end),
        "digestS3Bucket": BUCKET, "digestS3Object": key, "digestPublicKeyFingerprint": FINGERPRINT,
        "digestSignatureAlgorithm": "SHA256withRSA", "newestEventTime": iso(start),
        "oldestEventTime": iso(start), "logFiles": files}
    content = packed(digest)
    parts = (iso(end), f"{BUCKET}/{key}", sha256(content), before[4] or "null")
    signed = KEY.sign("\n".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return key, content, signed.hex()


def sha256(content):
    return hashlib.sha256(gzip.decompress(content)).hexdigest()


def trail():
    """Every object of the trail, by its key: content and metadata."""
    objects, previous = {}, None
    for hour in range(HOURS):
        logs = [] if hour == QUIET_HOUR else [log_file(hour)]
        objects |= {key: (content, {}) for key, content in logs}
        previous = digest_file(hour, logs, previous)
        key, content, signature = previous
        objects[key] = (content, {"signature": signature, "signature-algorithm": "SHA256withRSA"})
    return objects


def cli(aws, *arguments):
    """The AWS CLI."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": aws, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"}
    return run(sys.executable, "-m", "awscli", *arguments, env=environment)


def laid_out(aws, folder, objects):
    """Puts the objects into moto's bucket and into a folder, with what the CLI says of them."""
    s3 = boto3.client("s3", endpoint_url=aws, **CREDENTIALS)
    s3.create_bucket(Bucket=BUCKET)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for found in page.get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    heads = []
    for key, (content, metadata) in objects.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=content, Metadata=metadata)
        head = s3.head_object(Bucket=BUCKET, Key=key)
        heads.append({"Bucket": BUCKET, "Key": key, "Metadata": head["Metadata"]})
        file = folder / "bucket" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (folder / "bucket" / "head-objects.json").write_text(json.dumps(heads))
    cloudtrail = boto3.client("cloudtrail", endpoint_url=aws, **CREDENTIALS)
    if not cloudtrail.describe_trails()["trailList"]:
        cloudtrail.create_trail(Name=TRAIL, S3BucketName=BUCKET)
    keys = cli(aws, "cloudtrail", "list-public-keys", "--output", "json")
    assert keys.returncode == 0, keys.stderr
    (folder / "public-keys.json").write_text(keys.stdout)


def validated(aws):
    """The exit status of AWS's own check, and its word on each file by its name."""
    times = ("--start-time", iso(START), "--end-time", iso(START + timedelta(hours=HOURS)))
    ended = cli(aws, "cloudtrail", "validate-logs", "--trail-arn", ARN, *times, "--verbose")
    line = re.compile(r"(?:Digest|Log) file\s+s3://\S+/(\S+)\s+(valid|INVALID)")
    return ended.returncode, dict(line.findall(ended.stdout + ended.stderr))


def imported(server, folder):
    """Ours: the exit status, its counts, and the verdict that each record keeps, by its hour."""
    ended = run(BIN / "cairn", "--server", server.url, "--json", "import", "cloudtrail",
                folder / "bucket", "--public-keys", folder / "public-keys.json")
    events = server.get("/v1/events", order="oldest", limit=1000, source="aws://" + "/".join(
        (ACCOUNT, REGION, "s3.amazonaws.com")))["events"]
    verdicts = {int(it["id"].removeprefix("event-")): it["metadata"]["digest"] for it in events}
    assert len(verdicts) == len(events)
    return ended.returncode, json.loads(ended.stdout), verdicts


def name_of(key):
    return key.rsplit("/", 1)[1]


def finished(server):
    """The event that says what an import came to."""
    return server.get("/v1/events", action="import.finished")["events"][0]


def test_a_whole_trail_is_valid_to_both(server, aws, tmp_path):
    objects = trail()
    laid_out(aws, tmp_path, objects)
    status, words = validated(aws)
    assert (status, words) == (0, {name_of(key): "valid" for key in objects})
    status, counts, verdicts = imported(server, tmp_path)
    assert (status, counts["digests_valid"], counts["logs_valid"]) == (0, HOURS, HOURS - 1)
    assert (counts["gaps"], counts["events"], counts["duplicates"]) == (0, HOURS - 1, 0)
    assert verdicts == {hour: "valid" for hour in range(HOURS) if hour != QUIET_HOUR}
    assert finished(server)["outcome"] == "success"
    status, counts, again = imported(server, tmp_path)
    assert (status, counts["events"], counts["duplicates"]) == (0, 0, HOURS - 1)
    assert again == verdicts


def test_an_altered_log_file_is_invalid_to_both(server, aws, tmp_path):
    objects = trail()
    altered, content = log_file(3)
    document = json.loads(gzip.decompress(content))
    document["Records"][0]["eventName"] = "ListBuckets"
    objects[altered] = (packed(document), {})
    laid_out(aws, tmp_path, objects)
    status, words = validated(aws)
    assert status == 1
    assert [name for name, word in words.items() if word != "valid"] == [name_of(altered)]
    status, counts, verdicts = imported(server, tmp_path)
    assert (status, counts["logs_invalid"], counts["logs_valid"]) == (1, 1, HOURS - 2)
    assert verdicts == {hour: "invalid" if hour == 3 else "valid"
                        for hour in range(HOURS) if hour != QUIET_HOUR}
    assert finished(server)["outcome"] == "failure"


def test_an_altered_digest_is_invalid_to_both(server, aws, tmp_path):
    objects = trail()
    [key] = [key for key in objects if key.endswith("T040000Z.json.gz")]
    content, metadata = objects[key]
    digest = json.loads(gzip.decompress(content))
    digest["logFiles"] = []
    objects[key] = (packed(digest), metadata)
    laid_out(aws, tmp_path, objects)
    status, words = validated(aws)
    assert (status, words[name_of(key)]) == (1, "INVALID")
    status, counts, _ = imported(server, tmp_path)
    assert (status, counts["digests_invalid"], counts["digests_valid"]) == (1, 1, HOURS - 1)


def test_every_digest_that_was_taken_out_is_named_by_ours(server, aws, tmp_path):
    objects = trail()
    for end in ("T020000Z", "T030000Z"):
        [key] = [key for key in objects if key.endswith(f"{end}.json.gz")]
        del objects[key]
    laid_out(aws, tmp_path, objects)
    status, words = validated(aws)
    # AWS's check says that one digest is missing, and goes on at the next that it finds.
    assert status == 1 and "INVALID" in words.values()
    status, counts, verdicts = imported(server, tmp_path)
    assert (status, counts["missing_hours"]) == (1, 2)
    hours = [iso(START + timedelta(hours=hour)) for hour in (1, 2, 3)]
    assert counts["missing"] == [f"{hours[0]}/{hours[1]}", f"{hours[1]}/{hours[2]}"]
    assert verdicts[1] == "not_covered"


def test_without_the_signatures_nothing_is_valid(server, aws, tmp_path):
    laid_out(aws, tmp_path, trail())
    (tmp_path / "bucket" / "head-objects.json").unlink()
    status, counts, verdicts = imported(server, tmp_path)
    assert (status, counts["digests_unverified"], counts["logs_valid"]) == (1, HOURS, 0)
    assert set(verdicts.values()) == {"unverified"}
