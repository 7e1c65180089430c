//! Evidence files of every kind, good and damaged, are verified with the exit status that each must have.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

#[path = "../kit/mod.rs"]
#[expect(dead_code, unreachable_pub, reason = "an example uses it too")]
mod kit;

mod corpus;
mod properties;
mod table;
mod writing;
