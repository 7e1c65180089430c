//! The crate against its specifications: first every small tree, then large random ones, then hostile
//! input, then three other implementations.

#[cfg(test)]
mod reference;

#[cfg(test)]
mod exhaustive;

#[cfg(test)]
mod subtrees;

#[cfg(test)]
mod prefix;

#[cfg(test)]
mod growth;

#[cfg(test)]
mod tiles;

#[cfg(test)]
mod random;

#[cfg(test)]
mod tampered;

#[cfg(test)]
mod oracles;

#[cfg(test)]
mod messages;

#[cfg(test)]
mod corpus;
