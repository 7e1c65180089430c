//! The search index of an audit log: a follower that can be deleted at any time.
