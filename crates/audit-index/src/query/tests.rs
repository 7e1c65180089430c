use merkle::LeafIndex;

use super::*;

fn parse(pairs: &[(&str, &str)]) -> Result<Query, QueryError> {
    Query::parse(pairs.iter().copied())
}

fn instant(text: &str) -> Instant {
    Instant::parse_utc(text).unwrap()
}

#[test]
fn without_parameters_the_newest_fifty_are_asked_for() {
    let query = parse(&[]).unwrap();
    assert_eq!((query.limit(), query.order(), query.time()), (50, Order::Newest, TimeOf::Received));
    assert!(query.members().is_empty() && query.from().is_none() && query.after().is_none());
}

#[test]
fn a_filter_given_twice_means_either() {
    let query = parse(&[("outcome", "failure"), ("outcome", "denied"), ("id", "7")]).unwrap();
    assert_eq!(query.members()[&Member::Outcome], ["failure", "denied"]);
    assert_eq!(query.members()[&Member::Id], ["7"]);
}

#[test]
fn what_is_not_a_query_is_refused_by_name() {
    let long = "a".repeat(VALUE_BYTES_MAX + 1);
    let number = QueryRule::Number { min: 1, max: 1_000 };
    for (name, value, rule) in [
        ("colour", "red", QueryRule::Unknown),
        ("Action", "a.b", QueryRule::Unknown),
        ("action", "", QueryRule::Empty),
        ("text", " \t", QueryRule::Empty),
        ("text", &long, QueryRule::TooLong { max: VALUE_BYTES_MAX }),
        ("cursor", &long, QueryRule::TooLong { max: VALUE_BYTES_MAX }),
        ("outcome", "fine", QueryRule::Word { allowed: Outcome::ALLOWED }),
        ("category", "AUTH", QueryRule::Word { allowed: Category::ALLOWED }),
        ("operation", "look", QueryRule::Word { allowed: Operation::ALLOWED }),
        ("severity", "5", QueryRule::Word { allowed: Severity::ALLOWED }),
        ("time", "both", QueryRule::Word { allowed: "received, event" }),
        ("order", "random", QueryRule::Word { allowed: "newest, oldest" }),
        ("from", "yesterday", QueryRule::Time),
        ("from", "2026-02-30", QueryRule::Time),
        ("to", "2026-03-04T09:10", QueryRule::Time),
        ("to", "20260304", QueryRule::Time),
        ("zone", "Europe/Nowhere", QueryRule::Zone),
        ("limit", "0", number),
        ("limit", "1001", number),
        ("limit", "-1", number),
        ("limit", "+1", number),
        ("flag", "Clock", QueryRule::Flag),
        ("label", "team", QueryRule::Label),
        ("label", "=x", QueryRule::Label),
        ("cursor", "00", QueryRule::Cursor),
    ] {
        let found = parse(&[(name, value)]).map(drop);
        assert_eq!(found, Err(QueryError { name: name.to_owned(), rule }), "{name}={value}");
    }
    let twice = parse(&[("limit", "1"), ("limit", "2")]).map(drop);
    assert_eq!(twice, Err(QueryError { name: "limit".to_owned(), rule: QueryRule::Twice }));
    let many = vec![("id", "1"); VALUES_MAX];
    assert!(parse(&many).is_ok());
    let max = VALUES_MAX;
    let found = parse(&[&many[..], &[("id", "1")]].concat()).map(drop);
    assert_eq!(found.unwrap_err().rule, QueryRule::TooMany { max });
    for (name, value) in [("limit", "1"), ("limit", "1000"), ("label", "k=v=w"), ("label", "k=")] {
        assert!(parse(&[(name, value)]).is_ok(), "{name}={value}");
    }
}

#[test]
fn errors_repeat_no_value() {
    let error = parse(&[("outcome", "secret")]).unwrap_err().to_string();
    assert_eq!(error, "outcome is none of: success, failure, denied, unknown");
    let name = "ä".repeat(100);
    assert_eq!(parse(&[(&name, "x")]).unwrap_err().name, "ä".repeat(32));
}

#[test]
fn dates_begin_where_their_zone_says() {
    for (date, zone, wanted) in [
        ("2026-10-25", "Europe/London", "2026-10-24T23:00:00Z"),
        ("2026-10-26", "Europe/London", "2026-10-26T00:00:00Z"),
        ("2026-10-25", "UTC", "2026-10-25T00:00:00Z"),
        // Clocks went from midnight to one: the day has no midnight.
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        // The day was left out.
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),
    ] {
        let query = parse(&[("from", date), ("to", date), ("zone", zone)]).unwrap();
        assert_eq!(query.from(), Some(instant(wanted)), "{date} {zone}");
        assert_eq!(query.to(), Some(instant(wanted)));
    }
    let query = parse(&[("from", "2026-10-25T01:30:00.5+01:00"), ("zone", "Asia/Tokyo")]).unwrap();
    assert_eq!(query.from(), Some(instant("2026-10-25T00:30:00.5Z")));
}

#[test]
fn a_cursor_belongs_to_its_query() {
    let pairs = [("text", "ana"), ("from", "2026-01-01"), ("order", "oldest")];
    let query = parse(&pairs).unwrap();
    let cursor = Cursor { received_at_ns: u64::MAX, index: LeafIndex::new(7).unwrap() };
    let text = query.cursor_text(cursor);
    let with = |pairs: &[(&str, &str)], text: &str| {
        let cursor = [("cursor", text)];
        let all: Vec<_> = pairs.iter().chain(&cursor).copied().collect();
        parse(&all).map(|query| query.after())
    };
    assert_eq!(with(&pairs, &text), Ok(Some(cursor)));
    assert_eq!(with(&[&pairs[..], &[("limit", "7")]].concat(), &text), Ok(Some(cursor)));
    for other in [&pairs[..2], &pairs[1..], &[&pairs[..], &[("id", "1")]].concat()] {
        assert_eq!(with(other, &text).unwrap_err().rule, QueryRule::Cursor, "{other:?}");
    }
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] = b'g';
        let other = String::from_utf8(other).unwrap();
        assert_eq!(with(&pairs, &other).unwrap_err().rule, QueryRule::Cursor);
    }
    assert!(with(&pairs, &text[..48]).is_err() && with(&pairs, &text.to_uppercase()).is_err());
}

#[test]
fn a_filter_comes_back() {
    let pairs = [("action", "a.b"), ("action", "c.d"), ("time", "event"), ("to", "2026-01-01")];
    let query = parse(&pairs).unwrap();
    let filter = query.to_filter();
    let back = Query::of_filter(&filter).unwrap();
    assert_eq!(back.members(), query.members());
    assert_eq!((back.to(), back.time(), back.order()), (query.to(), TimeOf::Event, Order::Oldest));
    assert_eq!(back.to_filter(), filter);
    for (name, values) in [("outcome_code", vec!["1"]), ("id", vec![]), ("outcome", vec!["x"])] {
        let mut filter = Filter::default();
        let values = values.into_iter().map(str::to_owned).collect();
        filter.members.insert(name.to_owned(), values);
        assert_eq!(Query::of_filter(&filter).unwrap_err().name, name);
    }
}
