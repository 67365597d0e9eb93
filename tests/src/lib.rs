//! What crosses the crates: the policy contract and the second processor.
