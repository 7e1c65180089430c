//! What is sent where no file is given: invented items of about 1.2 kB that differ as real ones do.

use serde_json::{Map, Value, json};

/// How many different items there are.
const ITEMS: usize = 1_000;

/// Action, category, operation, type of the item.
const ACTS: [(&str, &str, &str, &str); 8] = [
    ("invoice.updated", "data", "update", "invoice"),
    ("invoice.deleted", "data", "delete", "invoice"),
    ("customer.exported", "access", "read", "customer"),
    ("payment.approved", "transaction", "approve", "payment"),
    ("auth.login.succeeded", "auth", "login", "session"),
    ("role.assigned", "admin", "update", "role"),
    ("settings.changed", "config", "update", "setting"),
    ("backup.finished", "system", "execute", "backup"),
];
const NAMES: [&str; 10] = [
    "Ana Silva",
    "Bob Okafor",
    "Chen Wei",
    "Dora Novak",
    "Emil Berg",
    "Farah Aziz",
    "Gita Rao",
    "Hugo Petit",
    "Ines Costa",
    "Jon Dahl",
];
const CITIES: [&str; 4] = ["lisbon", "oslo", "pune", "vienna"];
const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];
const RESOURCES: [&str; 5] = ["pods", "secrets", "configmaps", "deployments", "services"];
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const KUBECTL: &str = "kubectl/v1.34.3 (linux/amd64) kubernetes/9a3f0d1";

/// One of `items`, another for each `number`.
fn pick<T: Copy>(items: &[T], number: usize) -> T {
    items[number % items.len()]
}

fn outcome(number: usize) -> &'static str {
    match number % 20 {
        7 => "failure",
        13 => "denied",
        _ => "success",
    }
}

/// Digits that look random and are the same in every run.
fn digits(number: usize) -> String {
    let number = u64::try_from(number).unwrap_or_default();
    format!("{:016x}", number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn user(number: usize) -> (String, String) {
    let name = pick(&NAMES, number / 3);
    (format!("u-{}", 100 + number / 3 % 40), name.to_owned())
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Events of our own schema; `time` is when all of them happened.
pub(crate) fn events(time: &str) -> Vec<Map<String, Value>> {
    (0..ITEMS).map(|number| members(event(time, number))).collect()
}

fn event(time: &str, number: usize) -> Value {
    let (action, category, operation, kind) = pick(&ACTS, number);
    let (id, name) = user(number);
    let (city, random) = (pick(&CITIES, number / 7), digits(number));
    let email = format!("{}@shop.example", name.to_lowercase().replace(' ', "."));
    let item = format!("{kind}-{}", 4_000 + number % 700);
    json!({
        "source": format!("https://billing.{city}.shop.example"), "time": time, "action": action,
        "category": category, "operation": operation, "outcome": outcome(number),
        "severity": if number.is_multiple_of(50) { "high" } else { "info" },
        "labels": {"environment": "production", "team": pick(&["billing", "support"], number)},
        "actor": {"type": "user", "id": id, "name": name, "email": email,
            "groups": ["accounting", format!("office-{city}")],
            "session_id": format!("s-{random}"), "auth_method": "oidc"},
        "origin": {"ip": format!("10.{}.{}.{}", number % 4, number % 199, number % 251),
            "host": format!("app-{}.{city}.shop.example", number % 12), "user_agent": AGENT},
        "targets": [
            {"type": kind, "id": item, "name": format!("{kind} of {city}")},
            {"type": "customer", "id": format!("c-{}", 900 + number % 311)},
        ],
        "description": format!("{name} worked on {item} in the office of {city}"),
        "changes": [
            {"field": "amount", "old": number % 977, "new": number % 977 + 20},
            {"field": "state", "old": "draft", "new": "sent"},
        ],
        "request": {"id": format!("r-{random}"), "method": "POST",
            "path": format!("/api/v2/{kind}s/{item}")},
        "trace": {"trace_id": format!("{random}{}", digits(number + ITEMS)), "span_id": random},
        "metadata": {"region": city, "version": "2026.11.4", "retries": number % 3,
            "approved": number.is_multiple_of(5), "ticket": format!("OPS-{}", 10_000 + number)},
    })
}

/// Items of a Kubernetes audit webhook.
pub(crate) fn kubernetes(time: &str) -> Vec<Map<String, Value>> {
    (0..ITEMS).map(|number| members(kubernetes_item(time, number))).collect()
}

fn kubernetes_item(time: &str, number: usize) -> Value {
    let (verb, resource) = (pick(&VERBS, number), pick(&RESOURCES, number / 3));
    let (id, _) = user(number);
    let (space, random) = (pick(&CITIES, number / 7), digits(number));
    let name = format!("{}-{}", pick(&["web", "billing", "search"], number), &random[..8]);
    let uri = format!("/api/v1/namespaces/{space}/{resource}/{name}?timeout=30s");
    let (code, outcome) =
        if outcome(number) == "denied" { (403, "forbid") } else { (200, "allow") };
    json!({
        "level": "Request", "stage": "ResponseComplete", "requestURI": uri, "verb": verb,
        "user": {"username": id, "uid": digits(number / 3),
            "groups": ["developers", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": [format!("X509SHA256={random}")]}},
        "sourceIPs": [format!("10.{}.0.{}", number % 4, number % 251)], "userAgent": KUBECTL,
        "objectRef": {"resource": resource, "namespace": space, "name": name, "apiVersion": "v1",
            "resourceVersion": (20_000 + number).to_string()},
        "responseStatus": {"metadata": {}, "code": code},
        "requestObject": {"metadata": {"name": name, "namespace": space,
                "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop"}},
            "spec": {"replicas": number % 5, "serviceAccountName": "default",
                "nodeName": format!("node-{}", number % 12), "priorityClassName": "standard"}},
        "requestReceivedTimestamp": time, "stageTimestamp": time,
        "annotations": {"authorization.k8s.io/decision": outcome,
            "authorization.k8s.io/reason": format!("RBAC: RoleBinding \"developers/{space}\" of Role \"edit\"")},
    })
}

/// Records of OpenTelemetry; `nanos` is when all of them happened.
pub(crate) fn records(nanos: &str) -> Vec<Map<String, Value>> {
    (0..ITEMS).map(|number| members(record(nanos, number))).collect()
}

fn record(nanos: &str, number: usize) -> Value {
    let (action, category, operation, kind) = pick(&ACTS, number);
    let (id, name) = user(number);
    let (city, random) = (pick(&CITIES, number / 7), digits(number));
    let attribute =
        |(key, value): (&str, &str)| json!({"key": key, "value": {"stringValue": value}});
    let item = format!("{kind}-{}", 4_000 + number % 700);
    let address = format!("10.{}.{}.{}", number % 4, number % 199, number % 251);
    let path = format!("/api/v2/{kind}s/{item}");
    let said = format!("{name} worked on {item} in the office of {city}");
    let attributes = [
        ("user.id", id.as_str()),
        ("user.name", &name),
        ("client.address", &address),
        ("user_agent.original", AGENT),
        ("http.request.method", "POST"),
        ("url.path", &path),
        ("session.id", &random),
        ("shop.category", category),
        ("shop.operation", operation),
        ("shop.item", &item),
        ("shop.office", city),
        ("shop.outcome", outcome(number)),
    ];
    json!({
        "timeUnixNano": nanos, "observedTimeUnixNano": nanos, "severityNumber": 9,
        "severityText": "INFO", "eventName": action, "body": {"stringValue": said},
        "attributes": attributes.map(attribute),
        "traceId": format!("{random}{}", digits(number + ITEMS)), "spanId": random,
    })
}
