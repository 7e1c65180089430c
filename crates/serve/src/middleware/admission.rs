//! Who sent a request, and whether its sender may send one now: the places for an identity and a
//! quota.
//!
//! A server without an identity and a quota leaves both empty. Its requests are anonymous and pass.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Response};
use tower::{Layer, Service};

use super::limits::{Answer, announced};
use crate::body::Body;
use crate::principal::Principal;
use crate::refusal::{Api, Refusal};
use crate::route::{Matched, Route};

/// Says who sent a request, from what is in memory: it must not block.
pub trait Identify: Send + Sync + std::fmt::Debug {
    /// A request without a credential is anonymous; a request whose credential does not hold is
    /// refused.
    fn identify(&self, route: &Route, headers: &HeaderMap) -> Result<Principal, Refusal>;
}

/// Says whether a caller may send one more request, from what is in memory: it must not block.
pub trait Quota: Send + Sync + std::fmt::Debug {
    /// `body_bytes` is the announced length, 0 if none is announced.
    fn take(&self, who: &Principal, route: &Route, body_bytes: u64) -> Result<(), Refusal>;
}

/// Makes [`Admission`]s.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    identity: Option<Arc<dyn Identify>>,
    quota: Option<Arc<dyn Quota>>,
    api: &'static Api,
}

impl AdmissionLayer {
    /// Without an identity everybody is anonymous. Without a quota everybody may send requests.
    pub fn new(
        identity: Option<Arc<dyn Identify>>,
        quota: Option<Arc<dyn Quota>>,
        api: &'static Api,
    ) -> Self {
        Self { identity, quota, api }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, slots: self.clone() }
    }
}

/// Marks requests with their principal, and refuses those that the identity or the quota does not
/// admit.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    slots: AdmissionLayer,
}

impl AdmissionLayer {
    fn admit<B, T>(&self, matched: &mut Matched<B, T>) -> Result<(), Refusal> {
        let Matched { request, route, .. } = matched;
        let who = match &self.identity {
            Some(identity) => identity.identify(route, request.headers())?,
            None => Principal::Anonymous,
        };
        if let Some(quota) = &self.quota {
            quota.take(&who, route, announced(request.headers()))?;
        }
        who.mark(request.extensions_mut());
        Ok(())
    }
}

impl<S, B, T> Service<Matched<B, T>> for Admission<S>
where
    S: Service<Matched<B, T>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut matched: Matched<B, T>) -> Self::Future {
        match self.slots.admit(&mut matched) {
            Ok(()) => Answer::Passed { inner: self.inner.call(matched) },
            Err(refusal) => {
                Answer::Refused { response: Some(matched.protocol.refuse(refusal, self.slots.api)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Kind;
    use crate::refusal::tests::API;
    use crate::route::tests::matched;
    use http::Request;
    use std::convert::Infallible;
    use tower::{ServiceExt as _, service_fn};

    /// A caller is who the `authorization` header says; `wrong` is nobody.
    #[derive(Debug)]
    struct Named;

    impl Identify for Named {
        fn identify(&self, _: &Route, headers: &HeaderMap) -> Result<Principal, Refusal> {
            match headers.get("authorization").map(|value| value.to_str().unwrap()) {
                None => Ok(Principal::Anonymous),
                Some("wrong") => Err(Refusal::new(Kind::Unauthenticated, "NOBODY").says("nobody")),
                Some(name) => Ok(Principal::Named(name.into())),
            }
        }
    }

    /// Ten bytes for everybody but alice.
    #[derive(Debug)]
    struct TenBytes;

    impl Quota for TenBytes {
        fn take(&self, who: &Principal, _: &Route, body_bytes: u64) -> Result<(), Refusal> {
            if *who == Principal::Named("alice".into()) || body_bytes <= 10 {
                return Ok(());
            }
            Err(Refusal::new(Kind::QueueFull, "QUOTA").says("too much"))
        }
    }

    /// The status of a request, and whom its handler took it to be from.
    async fn sent(layer: &AdmissionLayer, headers: &[(&str, &str)]) -> (u16, String) {
        let handler = service_fn(async |matched: Matched<(), char>| {
            let who = match Principal::of(matched.request.extensions()) {
                Principal::Anonymous => "nobody".to_owned(),
                Principal::Named(name) => name.to_string(),
            };
            Ok::<_, Infallible>(Response::builder().header("who", who).body(Body::empty()).unwrap())
        });
        let mut request = Request::builder().uri("/logs/a/add");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = matched(request.body(()).unwrap());
        let answer = layer.layer(handler).oneshot(request).await.unwrap();
        let who = answer.headers().get("who").map(|who| who.to_str().unwrap().to_owned());
        (answer.status().as_u16(), who.unwrap_or_default())
    }

    #[tokio::test]
    async fn empty_places_let_everybody_pass_as_nobody() {
        let layer = AdmissionLayer::new(None, None, &API);
        let (large, nobody) = (("content-length", "1000"), "nobody".to_owned());
        assert_eq!(sent(&layer, &[("authorization", "wrong"), large]).await, (200, nobody));
    }

    #[tokio::test]
    async fn a_handler_learns_who_is_known_and_whoever_is_not_goes_no_further() {
        let layer = AdmissionLayer::new(Some(Arc::new(Named)), Some(Arc::new(TenBytes)), &API);
        let by = |name| ("authorization", name);
        let large = ("content-length", "11");
        assert_eq!(sent(&layer, &[]).await, (200, "nobody".to_owned()));
        assert_eq!(sent(&layer, &[by("bob")]).await, (200, "bob".to_owned()));
        assert_eq!(sent(&layer, &[by("alice"), large]).await, (200, "alice".to_owned()));
        assert_eq!(sent(&layer, &[by("wrong")]).await, (401, String::new()));
        assert_eq!(sent(&layer, &[by("bob"), large]).await, (429, String::new()));
        assert_eq!(sent(&layer, &[large]).await, (429, String::new()));
    }
}
