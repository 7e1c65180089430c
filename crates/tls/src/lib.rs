//! Who may answer at an `https://` address, and the connector that asks there.
//!
//! We know a server by the machine's certificate authorities, or by one pinned key, as with curl's
//! `--pinnedpubkey`. TLS 1.3 and 1.2 with ring's cryptography; nothing is installed for the whole
//! process.

#![warn(missing_docs)]

mod address;

mod connect;

mod pin;

mod verifier;

pub use address::{Address, AddressError, Url, UrlError};
pub use connect::{AuthoritiesError, Connector, Http, Known, connector};
pub use pin::{Pin, PinError};
pub use verifier::{OtherKey, other_key};
