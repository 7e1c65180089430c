//! How many files the process may have open, and who gets how many of them.
//!
//! A connection is an open file, and so is a table file of the store. If connections took all of
//! them, the store could not open its next file, a commit would fail, and the process would have to
//! end.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer files the process does not start: after the store's half and the reserve too few
/// would be left for connections.
pub const FILES_MIN: usize = 256;
/// What neither connections nor the store's table files may take: the listener, the runtime, the
/// journal, the store's own logs, backups, calls to other servers, and a connection that is
/// accepted to be closed.
const FILES_RESERVED: usize = 64;

/// What a server would like to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Files of the store.
    pub store: usize,
    pub connections: usize,
}

/// What it may open: of each at most what it wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Files of the store.
    pub store: usize,
    pub connections: usize,
}

/// The process may open too few files to serve.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit on open files is {limit}, and at least {FILES_MIN} are needed: raise it with \
     ulimit -n, or with LimitNOFILE= in a systemd unit"
)]
pub struct TooFewFiles {
    pub limit: usize,
}

/// Raises the limit on open files as far as the process may, and gives what it is then;
/// `usize::MAX` for none.
pub fn raise_limit() -> usize {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // A sandbox may forbid it: then the limit stays what it was.
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Shares out what [`raise_limit`] gives. Logs a warning if that allows fewer connections than
/// wanted.
pub fn share(wanted: Wanted) -> Result<Share, TooFewFiles> {
    let limit = raise_limit();
    let share = share_of(limit, wanted)?;
    if share.connections < wanted.connections {
        tracing::warn!(
            limit,
            connections_max = share.connections,
            configured = wanted.connections,
            "the limit on open files allows fewer connections than configured: raise it with ulimit -n, \
             or with LimitNOFILE= in a systemd unit"
        );
    }
    Ok(share)
}

/// The store gets at most half. Connections get at most the rest, less the reserve.
fn share_of(limit: usize, wanted: Wanted) -> Result<Share, TooFewFiles> {
    if limit < FILES_MIN {
        return Err(TooFewFiles { limit });
    }
    let store = wanted.store.min(limit / 2);
    let connections = wanted.connections.min(limit - store - FILES_RESERVED);
    Ok(Share { store, connections })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_its_half_before_connections_have_any() {
        for (limit, wanted, expected) in [
            (256, (1_024, 4_096), (128, 64)),
            (257, (1_024, 4_096), (128, 65)),
            (256, (16, 4_096), (16, 176)),
            (256, (16, 100), (16, 100)),
            (1_024, (1_024, 4_096), (512, 448)),
            (2_048, (1_024, 4_096), (1_024, 960)),
            (5_183, (1_024, 4_096), (1_024, 4_095)),
            (5_184, (1_024, 4_096), (1_024, 4_096)),
            (1_048_576, (1_024, 4_096), (1_024, 4_096)),
            (usize::MAX, (1_024, 4_096), (1_024, 4_096)),
        ] {
            let wanted = Wanted { store: wanted.0, connections: wanted.1 };
            let share = share_of(limit, wanted).unwrap();
            assert_eq!((share.store, share.connections), expected, "{limit} {wanted:?}");
            assert!(share.store + share.connections + FILES_RESERVED <= limit, "{limit}");
        }
    }

    #[test]
    fn too_few_are_refused_and_the_limit_is_named() {
        for limit in [0, 64, 255] {
            let refused = share_of(limit, Wanted { store: 1, connections: 1 }).unwrap_err();
            assert_eq!(refused, TooFewFiles { limit });
        }
        insta::assert_snapshot!(
            TooFewFiles { limit: 255 },
            @"the limit on open files is 255, and at least 256 are needed: raise it with ulimit -n, or with LimitNOFILE= in a systemd unit"
        );
    }
}
