use proptest::prelude::*;

use super::*;
use crate::mapping::testing::{checked, flags, hold, intake, metadata, object, refusal, shown};

const WHO: &str = r#""userIdentity":{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::111122223333:user/ana",
    "accountId":"111122223333","accessKeyId":"AKIA1","userName":"ana"}"#;

/// A record of a call with these members in place of the usual ones.
fn record(members: &str) -> String {
    let rest = format!(
        r#""eventVersion":"1.10",{WHO},"eventTime":"2026-03-04T09:10:11Z","eventSource":"s3.amazonaws.com",
        "eventName":"CreateBucket","awsRegion":"eu-west-1","sourceIPAddress":"198.51.100.23","userAgent":"aws-cli",
        "requestParameters":{{"bucketName":"demo"}},"responseElements":null,"requestID":"r-1","eventID":"e-1",
        "readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333",
        "eventCategory":"Management""#
    );
    object(members, &rest)
}

fn with<T>(members: &str, look: impl FnOnce(&Mapped<'_>) -> T) -> T {
    let text = record(members);
    let mapped = map(text.as_bytes(), &intake("aws://import")).unwrap();
    checked(&mapped);
    look(&mapped)
}

fn refused(text: &str) -> String {
    refusal(map(text.as_bytes(), &intake("aws://import")))
}

#[test]
fn a_call_says_who_did_what() {
    with("", |mapped| {
        assert_eq!(
            shown(&mapped.event),
            r#"{"action":"aws.s3.createbucket","actor":{"id":"AIDA1","name":"ana","session_id":"AKIA1","type":"user"},"category":"config","id":"e-1","metadata":{"eventCategory":"Management","eventName":"CreateBucket","eventSource":"s3.amazonaws.com","eventType":"AwsApiCall","userIdentity.accountId":"111122223333","userIdentity.arn":"arn:aws:iam::111122223333:user/ana","userIdentity.type":"IAMUser"},"operation":"create","origin":{"ip":"198.51.100.23","user_agent":"aws-cli"},"outcome":"success","request":{"id":"r-1"},"schema":{"name":"aws.cloudtrail","version":"1.10"},"source":"aws://111122223333/eu-west-1/s3.amazonaws.com","targets":[{"id":"demo","type":"bucket"}],"time":"2026-03-04T09:10:11Z"}"#
        );
        assert_eq!((mapped.id, mapped.raw.as_ref()), (IdFrom::Sender, record("").as_bytes()));
        assert!(flags(mapped).is_empty());
    });
}

#[test]
fn records_keep_their_bytes_and_other_files_are_refused() {
    let records: Vec<_> = split(b"{\"Records\": [{\"a\": 1} ,{}]}").unwrap().collect();
    assert_eq!(records, [b"{\"a\": 1}".as_slice(), b"{}"]);
    assert_eq!(split(b"{}").unwrap_err().to_string(), "Records is missing");
    assert!(split(b"{\"Records\":[{}").is_err());
}

#[test]
fn a_record_without_a_name_or_with_wrong_types_is_refused_by_name() {
    assert_eq!(refused("{}"), "eventName is missing");
    assert_eq!(refused(r#"{"eventName":{}}"#), "eventName is not a text");
    assert_eq!(refused(&record(r#""userIdentity":"ana""#)), "userIdentity is not an object");
    assert_eq!(refused(&record(r#""resources":{}"#)), "resources is not a list");
    assert!(refused(&record(r#""eventTime":"today""#)).starts_with("eventTime is not a time"));
    let mut known = intake("aws://import");
    known.action = Some("aws.unnamed");
    assert_eq!(map(b"{}", &known).unwrap().event.action.as_deref(), Some("aws.unnamed"));
}

#[test]
fn sign_ins_say_in_the_response_how_they_ended() {
    let sign_in = |name: &str, rest: &str| {
        let members = format!(r#""eventSource":"signin.amazonaws.com","eventName":"{name}"{rest}"#);
        with(&members, |mapped| {
            assert_eq!(mapped.event.category, Some(Category::Auth));
            (mapped.event.operation.unwrap(), mapped.event.outcome.unwrap())
        })
    };
    let said = |text: &str| format!(r#","responseElements":{{"ConsoleLogin":"{text}"}}"#);
    assert_eq!(sign_in("ConsoleLogin", &said("Failure")), (Operation::Login, Outcome::Failure));
    assert_eq!(sign_in("ConsoleLogin", &said("Success")), (Operation::Login, Outcome::Success));
    let failed = r#","errorMessage":"Failed authentication""#;
    assert_eq!(sign_in("ConsoleLogin", failed), (Operation::Login, Outcome::Failure));
    assert_eq!(sign_in("ConsoleLogin", ""), (Operation::Login, Outcome::Unknown));
    let switched = r#","responseElements":{"SwitchRole":"Failure"}"#;
    assert_eq!(sign_in("SwitchRole", switched), (Operation::Login, Outcome::Failure));
    let center = r#","serviceEventDetails":{"UserAuthentication":"Success"}"#;
    assert_eq!(sign_in("UserAuthentication", center), (Operation::Login, Outcome::Success));
    with(r#""eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin""#, |mapped| {
        assert_eq!(checked(mapped).action(), "aws.signin.consolelogin");
    });
}

#[test]
fn a_hidden_user_name_is_nobody() {
    let hidden = r#""userIdentity":{"type":"IAMUser","accountId":"111122223333","accessKeyId":"",
        "userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}"#;
    with(hidden, |mapped| {
        let actor = checked(mapped).actor().clone();
        assert_eq!(
            (actor.id.as_str(), actor.name.as_deref()),
            ("111122223333", Some("unknown user name"))
        );
        assert_eq!(actor.session_id, None);
    });
}

#[test]
fn codes_of_refusal_are_denials_and_others_failures() {
    let outcome = |code: &str| {
        with(&format!(r#""errorCode":"{code}","errorMessage":"no""#), |mapped| {
            assert_eq!(mapped.event.outcome_code.as_deref(), Some(code));
            assert_eq!(metadata(mapped, "errorMessage"), Some("no"));
            mapped.event.outcome.unwrap()
        })
    };
    for code in [
        "AccessDenied",
        "AccessDeniedException",
        "Client.UnauthorizedOperation",
        "UnauthorizedOperation",
        "UnauthorizedAccess",
        "VpceAccessDenied",
    ] {
        assert_eq!(outcome(code), Outcome::Denied, "{code}");
    }
    for code in
        ["Client.InsufficientInstanceCapacity", "NoSuchBucketPolicy", "Unauthorized2", "Exception"]
    {
        assert_eq!(outcome(code), Outcome::Failure, "{code}");
    }
}

#[test]
fn an_insight_was_called_by_nobody() {
    let insight = r#"{"eventTime":"2026-03-04T12:44:00Z","awsRegion":"eu-west-1","eventID":"e-2",
        "recipientAccountId":"111122223333","sharedEventID":"s-1","eventType":"AwsCloudTrailInsight",
        "insightDetails":{"state":"Start","eventSource":"ec2.amazonaws.com","eventName":"DescribeRegions",
        "insightType":"ApiErrorRateInsight","errorCode":"Client.RequestLimitExceeded",
        "insightContext":{"statistics":{"baseline":{"average":1.5}}}},"eventCategory":"Insight"}"#;
    let mapped = map(insight.as_bytes(), &intake("aws://import")).unwrap();
    let valid = checked(&mapped);
    assert_eq!((valid.action(), valid.actor().kind), ("aws.cloudtrail.insight", ActorKind::System));
    assert_eq!(valid.actor().id, "cloudtrail.amazonaws.com");
    assert_eq!(valid.source(), "aws://111122223333/eu-west-1/cloudtrail.amazonaws.com");
    let event = valid.event();
    assert_eq!(event.category, Some(Category::System));
    assert_eq!(event.trace.correlation_id.as_deref(), Some("s-1"));
    let description = event.description.as_deref();
    assert_eq!(
        description,
        Some("ApiErrorRateInsight of ec2.amazonaws.com DescribeRegions (Start)")
    );
    assert_eq!(refused(r#"{"insightDetails":[]}"#), "insightDetails is not an object");
}

#[test]
fn names_and_read_only_give_the_operation_and_the_category() {
    use Operation::{Create, Delete, Execute, Other, Read, Update};
    let cases = [
        ("ListBuckets", "true", Read, Category::Access),
        ("AssumeThing", "true", Read, Category::Access),
        ("RunInstances", "false", Create, Category::Config),
        ("TerminateInstances", "false", Delete, Category::Config),
        ("PutBucketPolicy", "false", Update, Category::Config),
        ("InvokeFunction", "false", Execute, Category::Config),
        ("Settle", "false", Other, Category::Config),
    ];
    for (name, read_only, operation, category) in cases {
        with(&format!(r#""eventName":"{name}","readOnly":{read_only}"#), |mapped| {
            assert_eq!(mapped.event.operation, Some(operation), "{name}");
            assert_eq!(mapped.event.category, Some(category), "{name}");
        });
    }
    let category =
        |members: &str| with(members, |mapped| checked(mapped).event().category.unwrap());
    assert_eq!(category(r#""eventCategory":"Data""#), Category::Data);
    assert_eq!(category(r#""eventSource":"iam.amazonaws.com""#), Category::Admin);
    assert_eq!(category(r#""eventCategory":"Other""#), Category::System);
}

#[test]
fn addresses_services_and_aws_itself_are_told_apart() {
    let origin = |text: &str| {
        with(&format!(r#""sourceIPAddress":"{text}""#), |mapped| {
            let origin = mapped.event.origin.clone();
            (origin.ip, origin.host)
        })
    };
    assert_eq!(origin("2001:DB8:0:0:0:0:0:7"), (Some("2001:db8::7".to_owned()), None));
    assert_eq!(origin("batch.amazonaws.com"), (None, Some("batch.amazonaws.com".to_owned())));
    assert_eq!(origin("AWS Internal"), (None, None));
}

#[test]
fn services_and_roles_act() {
    let actor = |identity: &str| {
        with(&format!(r#""userIdentity":{identity}"#), |mapped| checked(mapped).actor().clone())
    };
    let service = actor(r#"{"accountId":"1","invokedBy":"quicksight.amazonaws.com"}"#);
    assert_eq!(
        (service.kind, service.id.as_str()),
        (ActorKind::System, "quicksight.amazonaws.com")
    );
    assert_eq!(service.on_behalf_of, None);
    let role =
        r#"{"type":"AssumedRole","principalId":"AROA1:batch","invokedBy":"batch.amazonaws.com"}"#;
    let role = actor(role);
    assert_eq!((role.kind, role.id.as_str()), (ActorKind::Service, "AROA1:batch"));
    assert_eq!(role.on_behalf_of.unwrap().id, "batch.amazonaws.com");
    let issued = actor(
        r#"{"type":"AssumedRole","arn":"arn:x","sessionContext":{"attributes":{"mfaAuthenticated":"true"},
        "sessionIssuer":{"type":"Role","principalId":"AROA1","userName":"admin"}}}"#,
    );
    assert_eq!(issued.id, "arn:x");
    assert_eq!(issued.on_behalf_of.unwrap().name.as_deref(), Some("admin"));
    with(r#""userIdentity":null"#, |mapped| {
        assert_eq!(checked(mapped).actor(), &Actor::new(ActorKind::Service, "aws://import"));
    });
    assert_eq!(actor("{}").id, "aws://import");
}

#[test]
fn targets_are_resources_or_named_parameters() {
    let targets = |members: &str| {
        with(members, |mapped| {
            let text = |target: &Target| format!("{}:{}", target.kind, target.id);
            mapped.event.targets.iter().map(text).collect::<Vec<_>>().join(" ")
        })
    };
    let resources =
        r#""resources":[{"type":"AWS::S3::Object","ARN":"arn:o"},{"ARN":"arn:p"},{"type":"x"},5]"#;
    assert_eq!(targets(resources), "AWS::S3::Object:arn:o resource:arn:p");
    let set = r#""requestParameters":{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]},
        "roleArn":"arn:r","maxItems":5,"":"x","a.b":"y","environment":[{"name":"n"}],"Id":"z"}"#;
    assert_eq!(targets(set), "instance:i-1 instance:i-2 role:arn:r");
    assert_eq!(targets(r#""requestParameters":"HIDDEN""#), "");
}

#[test]
fn what_old_records_lack_is_found_elsewhere() {
    let old = format!(
        r#"{{{WHO},"eventName":"ListBuckets","eventSource":"s3.amazonaws.com","awsRegion":"eu-west-1"}}"#
    );
    let mut mapped = map(old.as_bytes(), &intake("aws://import")).unwrap();
    assert_eq!(
        mapped.event.source.as_deref(),
        Some("aws://111122223333/eu-west-1/s3.amazonaws.com")
    );
    assert_eq!(flags(&mapped), ["time_missing"]);
    let secret = crate::LogSecret::from([7; 32]);
    mapped.set_content_id(&secret);
    assert_eq!(mapped.event.id, Some(secret.id_of_item(old.as_bytes())));
    with(r#""awsRegion":null"#, |mapped| {
        assert_eq!(mapped.event.source.as_deref(), Some("aws://import"));
        let mut mapped = mapped.clone();
        mapped.set_content_id(&secret);
        assert_eq!(mapped.event.id.as_deref(), Some("e-1"));
    });
}

#[test]
fn additional_data_goes_to_metadata() {
    with(
        r#""additionalEventData":{"MFAUsed":"No","n":1.5,"":[1]},"vpcEndpointId":"vpce-1""#,
        |mapped| {
            assert_eq!(metadata(mapped, "additionalEventData.MFAUsed"), Some("No"));
            assert_eq!(metadata(mapped, "additionalEventData.n"), Some("1.5"));
            assert_eq!(metadata(mapped, "additionalEventData."), Some("[1]"));
            assert_eq!(metadata(mapped, "vpcEndpointId"), Some("vpce-1"));
        },
    );
    with(r#""additionalEventData":"x""#, |mapped| {
        assert_eq!(metadata(mapped, "vpcEndpointId"), None);
    });
}

proptest! {
    #[test]
    fn arbitrary_records_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), value in "[\\[\\]{}\":a,0-9null]{0,12}") {
        hold(map(&bytes, &intake("aws://import")));
        drop(split(&bytes).map(Iterator::count));
        for name in ["userIdentity", "requestParameters", "resources", "insightDetails", "additionalEventData"] {
            hold(map(format!(r#"{{"eventName":"e","{name}":{value}}}"#).as_bytes(), &intake("aws://import")));
        }
    }
}
