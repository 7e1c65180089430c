"""Items as their senders make them."""

import json


def kubernetes_item(audit_id, verb, **more):
    """An item as a kube-apiserver sends it: without kind and apiVersion of its own."""
    item = {
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/a",
        "verb": verb,
        "user": {"username": "ana", "groups": ["ops"]},
        "sourceIPs": ["10.20.0.7"],
        "userAgent": "kubectl/v1.34.3",
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "a", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-03-04T09:10:11.123456Z",
        "stageTimestamp": "2026-03-04T09:10:11.123459Z",
    }
    return item | more


def kubernetes_list(items):
    """The body of a post, as Go's encoder writes it: without spaces, a newline at the end."""
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def cloud_event(identity):
    """A CloudEvent in the JSON format."""
    return {
        "specversion": "1.0",
        "type": "com.example.audit.invoice.updated.v1",
        "source": "/billing",
        "id": identity,
        "time": "2026-03-04T09:10:11Z",
        "data": data("u-17"),
    }


def data(user):
    """What the data of a CloudEvent says of an event."""
    return {
        "actor": {"type": "user", "id": user},
        "category": "data",
        "operation": "update",
        "outcome": "success",
        "targets": [{"type": "invoice", "id": "7"}],
    }


def otlp_request(uid):
    """An export of one log record in OTLP's JSON."""
    attributes = {"user.id": "u-17", "log.record.uid": uid, "audit.outcome": "success",
                  "audit.category": "data", "audit.operation": "update"}
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in attributes.items()]
    record = {"timeUnixNano": "1772615411123456789", "eventName": "invoice.updated",
              "body": {"stringValue": "ana changed invoice 7"}, "attributes": attributes}
    service = [{"key": "service.name", "value": {"stringValue": "billing"}}]
    scopes = [{"scope": {"name": "billing.audit"}, "logRecords": [record]}]
    return {"resourceLogs": [{"resource": {"attributes": service}, "scopeLogs": scopes}]}
