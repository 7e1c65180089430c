//! The token of a request. Until there are identities any token is taken, but one must be sent, and in
//! a header: addresses are logged everywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::codes::{Code, Said};
use crate::receive::Asked;

/// `Splunk TOKEN`, `Bearer TOKEN`, or Basic with the token as the password.
pub(super) fn check(asked: &Asked<'_>) -> Result<(), Said> {
    if asked.parameter("token").is_some() {
        return Err(Code::TokenInQuery.into());
    }
    match asked.headers.get("authorization").map(http::HeaderValue::to_str) {
        None => Err(Code::NoToken.into()),
        Some(Ok(value)) if token(value).is_some() => Ok(()),
        Some(_) => Err(Code::BadAuthorization.into()),
    }
}

fn token(value: &str) -> Option<String> {
    let (scheme, credential) = value.trim().split_once(' ')?;
    let credential = credential.trim();
    let token = match scheme.to_ascii_lowercase().as_str() {
        "splunk" | "bearer" => credential.to_owned(),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(credential).ok()?).ok()?;
            pair.split_once(':')?.1.to_owned()
        }
        _ => return None,
    };
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_in_one_of_three_ways() {
        assert_eq!(token("Splunk abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token(&format!("Basic {}", STANDARD.encode("x:a:b"))).as_deref(), Some("a:b"));
        let nobody = format!("Basic {}", STANDARD.encode("x:"));
        for bad in ["abc", "Splunk", "Splunk ", "Digest abc", "Basic abc", "Basic !", &nobody] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }
}
