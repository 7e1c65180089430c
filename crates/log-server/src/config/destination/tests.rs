//! Destinations as a file has them.

use std::path::Path;

use serve::config::{ConfigError, Values};

use super::*;
use crate::config::{Config, SOURCES};

fn of(text: &str) -> Result<Vec<Destination>, ConfigError> {
    let mut values = Values::new(&SOURCES);
    values.read_text(Path::new("a.toml"), text)?;
    let home = |name: &str| (name == "HOME").then(|| "/home/a".to_owned());
    Ok(Config::new(&values.settings()?, home)?.destinations)
}

fn refused(members: &str) -> String {
    of(&format!("[[destination]]\n{members}")).unwrap_err().to_string()
}

const ELASTIC: &str = "name = \"es\"\nkind = \"elasticsearch\"\nurl = \"http://127.0.0.1:9200\"\n";

#[test]
fn each_kind_has_its_defaults() {
    let text = format!(
        "[[destination]]\n{ELASTIC}filter = {{ action = [\"a.b\", \"c.d\"], outcome = \"denied\" }}\n\
         [[destination]]\nname = \"s\"\nkind = \"splunk\"\nurl = \"https://splunk.example:8088\"\n\
         secret_file = \"/run/token\"\nlogs = [\"audit\", \"system\"]\nack = \"required\"\n\
         [[destination]]\nname = \"w\"\nkind = \"webhook\"\nurl = \"https://hook.example/in?a=b\"\n\
         secret_file = \"k\"\ndomain = \"com.example\"\ntimeout_ms = 500\n\
         [[destination]]\nname = \"o\"\nkind = \"otlp\"\nurl = \"http://collector:4318\"\nfilter = {{}}"
    );
    let all = of(&text).unwrap();
    let kinds: Vec<&str> = all.iter().map(|it| it.kind.name()).collect();
    assert_eq!(kinds, ["elasticsearch", "splunk", "webhook", "otlp"]);
    let Stream::Elasticsearch { index, form } = &all[0].kind else { panic!() };
    assert_eq!((index.as_str(), *form), ("cairn-audit", Form::Event));
    assert_eq!(all[0].filter.as_ref().unwrap().members().len(), 2);
    let Stream::Splunk { sourcetype, ack, .. } = &all[1].kind else { panic!() };
    assert_eq!((sourcetype.as_str(), *ack), ("audit:json", Ack::Required));
    assert_eq!((all[0].logs.as_slice(), all[1].logs.len()), (&["audit".to_owned()][..], 2));
    assert_eq!((all[1].timeout, all[2].timeout), (TIMEOUT, Duration::from_millis(500)));
    assert!(all[3].filter.is_none() && all[3].secret_file.is_none());
    assert!(of("").unwrap().is_empty());
}

#[test]
fn what_does_not_fit_is_told_with_its_place() {
    for (more, place) in [
        ("filter = { colour = \"red\" }", "destination[0].filter"),
        ("filter = { limit = \"5\" }", "destination[0].filter"),
        ("filter = { outcome = \"good\" }", "destination[0].filter"),
        ("logs = [\"A\"]", "destination[0].logs[0]"),
        ("index = \"Audit\"", "destination[0].index"),
        ("format = \"cef\"", "destination[0].format"),
        ("timeout_ms = 0", "destination[0].timeout_ms"),
        ("pin = \"sha256//x\"", "destination[0].pin"),
        ("colour = \"red\"", "destination[0].colour"),
        ("ack = \"auto\"", "without ack"),
        ("sourcetype = \"a\"", "without sourcetype"),
        ("domain = \"com.example\"", "without domain"),
    ] {
        let error = refused(&format!("{ELASTIC}{more}"));
        assert!(error.contains(place), "{more}: {error}");
    }
    assert!(refused("name = \"a\"\nkind = \"otlp\"").contains("needs the key url"));
    for bad in ["name = \"A\"", "name = \"\"", "name = \"../x\""] {
        let error = refused(&ELASTIC.replace("name = \"es\"", bad));
        assert!(error.contains("destination[0].name"), "{error}");
    }
    let error = refused(&ELASTIC.replace("elasticsearch", "kafka"));
    assert!(error.contains("elasticsearch, splunk, webhook or otlp"), "{error}");
    for kind in ["splunk", "webhook"] {
        let error = refused(&ELASTIC.replace("elasticsearch", kind));
        assert!(error.contains("with a secret_file"), "{error}");
    }
    let pinned = "pin = \"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"";
    assert!(refused(&format!("{ELASTIC}{pinned}")).contains("an https destination"));
    assert!(
        of(&format!("[[destination]]\n{}{pinned}", ELASTIC.replace("http:", "https:"))).is_ok()
    );
    let twice = format!("[[destination]]\n{ELASTIC}[[destination]]\n{ELASTIC}");
    assert!(of(&twice).unwrap_err().to_string().contains("no two of one name"));
}
