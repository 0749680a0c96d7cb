//! The signer: trait, client of the separate process, and that process.
