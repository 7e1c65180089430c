//! The real `cairn`, run offline: exit codes, texts, and each thing it accepts with its refused twin.

#[cfg(test)]
mod common;

#[cfg(test)]
mod audit;

#[cfg(test)]
mod evidence;
#[cfg(test)]
mod export;
#[cfg(test)]
mod help;
#[cfg(test)]
mod keygen;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod verify_many;
#[cfg(test)]
mod witness;
