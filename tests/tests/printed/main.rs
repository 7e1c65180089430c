//! Every command that a document or a program prints is run: the blocks of README.md and deploy/README.md in
//! order, what the servers print at their first start, every example of every `--help`.
//!
//! A command runs as it is printed, in bash, but for what a table here replaces or leaves out, with the
//! reason: ports, names of machines, programs of others, root's folders.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

mod blocks;
mod place;

#[cfg(test)]
mod deploy;
#[cfg(test)]
mod first_start;
#[cfg(test)]
mod help;
#[cfg(test)]
mod readme;
