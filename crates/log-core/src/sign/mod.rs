//! Signing: the keys of the logs, and the thread that signs and journals their heads.

pub(crate) mod keyring;
pub(crate) mod signing;
