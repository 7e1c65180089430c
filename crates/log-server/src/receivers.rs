//! The receivers as this server runs them.

use audit_receive::receive::Receive;
use audit_receive::syslog::Syslog;
use audit_trail::Trail;
use log_api::logs::Logs;
use serve::config::Listen;
use serve::health::Health;
use serve::identity::Identity;

use crate::config::{Config, SyslogConfig};
use crate::server::StartError;

/// What answers the receivers' routes.
pub(crate) fn receive(config: &Config, trail: Trail, logs: Logs, health: Health) -> Receive {
    let options = config.receive.options.clone();
    tokio::task::block_in_place(|| Receive::new(trail, logs, health, options))
}

/// Opens the ports of syslog that are configured; nothing in a process that writes nothing.
pub(crate) fn open_syslog(config: &Config) -> Result<Option<Syslog>, StartError> {
    let SyslogConfig { plain, tls, .. } = &config.receive.syslog;
    if config.read_only || (plain.is_none() && tls.is_none()) {
        return Ok(None);
    }
    tokio::task::block_in_place(|| {
        let mut syslog = Syslog::new(config.receive.syslog.connections_max);
        if let Some(listen) = plain {
            open(&mut syslog, listen, None)?;
        }
        if let Some(listen) = tls {
            let identity = identity(config)?;
            open(&mut syslog, listen, Some(identity))?;
        }
        Ok(Some(syslog))
    })
}

fn open(
    syslog: &mut Syslog,
    listen: &Listen,
    identity: Option<Identity>,
) -> Result<(), StartError> {
    let addresses = listen.resolve()?;
    syslog.open(&addresses, identity).map_err(|source| {
        let listen = listen.clone();
        StartError::Syslog { listen, source }
    })
}

/// The certificate and key that are configured, or a key of the server's own.
fn identity(config: &Config) -> Result<Identity, StartError> {
    let SyslogConfig { files, key, .. } = &config.receive.syslog;
    let identity = match files {
        Some((certificate, key)) => Identity::of_files(certificate, key, config.key_readers),
        None => Identity::open(key, config.key_readers),
    };
    identity.map(Identity::without_protocols).map_err(StartError::SyslogIdentity)
}
