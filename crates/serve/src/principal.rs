//! Who sent a request.

use std::sync::Arc;

use http::Extensions;

/// Who sent a request, in its extensions. An anonymous request has no principal there, which costs
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    #[default]
    Anonymous,
    /// Somebody with an id that outlives the credentials: the issuer and the subject together, or
    /// an id that a key and its rotations share.
    Named(Arc<str>),
}

impl Principal {
    /// Who sent the request with these extensions.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Marks a request as this principal's.
    pub fn mark(self, extensions: &mut Extensions) {
        match self {
            Self::Anonymous => drop(extensions.remove::<Self>()),
            named @ Self::Named(_) => drop(extensions.insert(named)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_anonymous_until_somebody_vouches_for_it() {
        let mut extensions = Extensions::new();
        assert_eq!(Principal::of(&extensions), Principal::Anonymous);
        let named = Principal::Named("issuer subject".into());
        named.clone().mark(&mut extensions);
        assert_eq!(Principal::of(&extensions), named);
        Principal::Anonymous.mark(&mut extensions);
        assert_eq!(Principal::of(&extensions), Principal::Anonymous);
        assert!(extensions.is_empty(), "an anonymous request carries nothing");
    }
}
