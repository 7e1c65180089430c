//! Followers: what reads every log behind its appends, and can be rebuilt from it.

pub mod leaf_index;
