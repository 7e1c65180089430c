//! Errors, and what they come from.

use std::error::Error;
use std::iter::successors;

/// An error, its source, the source of that, and so on.
pub fn with_sources<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// An error and its sources on one line, joined by `: `. A source that the text before it already quotes is
/// left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in with_sources(error).skip(1) {
        let source = source.to_string();
        if !text.contains(&source) {
            text.push_str(": ");
            text.push_str(&source);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("cannot write x")]
        Silent(#[source] io::Error),
        #[error("cannot write x: {0}")]
        Quoting(#[source] io::Error),
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot go on")]
    struct Outermost(#[source] Outer);

    #[test]
    fn sources_follow_their_error() {
        let error = Outermost(Outer::Silent(io::Error::other("disk gone")));
        assert_eq!(chain(&error), "cannot go on: cannot write x: disk gone");
        assert_eq!(with_sources(&error).count(), 3);
        assert_eq!(chain(&io::Error::other("disk gone")), "disk gone");
    }

    #[test]
    fn a_source_already_quoted_is_not_repeated() {
        let error = Outermost(Outer::Quoting(io::Error::other("disk gone")));
        assert_eq!(chain(&error), "cannot go on: cannot write x: disk gone");
    }
}
