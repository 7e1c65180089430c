//! The real `cairn`, run offline or against a server that answers as it is told: exit codes, texts, and
//! each thing it accepts with its refused twin.

#[cfg(test)]
mod common;
#[cfg(test)]
mod server;

#[cfg(test)]
mod audit;

#[cfg(test)]
mod evidence;
#[cfg(test)]
mod export;
#[cfg(test)]
mod exporting;
#[cfg(test)]
mod help;
#[cfg(test)]
mod import;
#[cfg(test)]
mod keygen;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod record;
#[cfg(test)]
mod search;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod verify_many;
#[cfg(test)]
mod witness;
