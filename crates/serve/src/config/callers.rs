//! What a server takes from its callers: settings that every server here has.

use std::time::Duration;

use super::{ConfigError, Listen, Values};
use crate::files::{self, TooFewFiles, Wanted};
use crate::port::PortOptions;

/// The settings of connections and of requests. Each field is named as its setting.
#[derive(Clone, Copy, Debug)]
pub struct CallerLimits {
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub requests_max: usize,
    pub http_timeout: Duration,
    pub header_bytes_max: usize,
    pub shutdown_timeout: Duration,
}

impl CallerLimits {
    /// As the settings say; the table has all of them.
    pub fn of(values: &Values) -> Self {
        Self {
            connections_max: values.count("connections_max"),
            connections_per_address_max: values.count("connections_per_address_max"),
            requests_max: values.count("requests_max"),
            http_timeout: values.millis("http_timeout_ms"),
            header_bytes_max: values.count("header_bytes_max"),
            shutdown_timeout: values.millis("shutdown_timeout_ms"),
        }
    }

    /// The port at `listen`. Looks up the name that it listens on, which blocks.
    pub fn port(&self, listen: &Listen) -> Result<PortOptions, ConfigError> {
        Ok(PortOptions {
            listen: listen.resolve()?,
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            header_bytes_max: self.header_bytes_max,
            shutdown_timeout: self.shutdown_timeout,
        })
    }

    /// The same within what the process may open, and how many files the store may have open of those that
    /// it would like: connections never take the store's files.
    pub fn within_open_files(self, store: usize) -> Result<(Self, usize), TooFewFiles> {
        let share = files::share(Wanted { store, connections: self.connections_max })?;
        Ok((Self { connections_max: share.connections, ..self }, share.store))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Setting, Table};

    const TABLE: Table = Table {
        settings: &[
            Setting::address("listen", "127.0.0.1:1", "Where."),
            Setting::CONNECTIONS_MAX,
            Setting::CONNECTIONS_PER_ADDRESS_MAX,
            Setting::number("requests_max", (1, 9), "3", "How many."),
            Setting::number("http_timeout_ms", (1, 9), "4", "How long."),
            Setting::number("header_bytes_max", (1, 9), "5", "How large."),
            Setting::number("shutdown_timeout_ms", (1, 9), "6", "How long."),
        ],
        environment: "A_",
        read_elsewhere: &[],
        example: "a.toml",
    };

    #[test]
    fn the_port_is_opened_as_the_settings_say() {
        let mut values = Values::new(&TABLE);
        values.read_text(Path::new("a.toml"), "connections_max = 7").unwrap();
        let limits = CallerLimits::of(&values);
        assert_eq!((limits.requests_max, limits.http_timeout.as_millis()), (3, 4));
        let port = limits.port(&values.listen("").unwrap()).unwrap();
        assert_eq!(port.listen, ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!((port.connections_max, port.connections_per_address_max), (7, 2_000));
        assert_eq!((port.header_bytes_max, port.shutdown_timeout.as_millis()), (5, 6));
    }

    #[test]
    fn files_that_are_there_are_not_taken_away() {
        let limits = CallerLimits::of(&Values::new(&TABLE));
        let few = CallerLimits { connections_max: 1, ..limits };
        let (shared, store) = few.within_open_files(2).unwrap();
        assert_eq!((shared.connections_max, store), (1, 2));
    }
}
