//! The crate through its public interface: real commits on the memory engine, and the real follower.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]
#![expect(clippy::disallowed_methods, reason = "tests damage files, and start a task of their own")]

mod cases;
mod counting;
mod damage;
mod paging;
mod random;
mod rig;
