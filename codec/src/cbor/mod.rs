//! Deterministic CBOR: one pass that refuses everything else, then plain reading.
//!
//! Invariants:
//! - [`check_canonical`] runs over every byte before anything is decoded, without recursion or allocation. After it
//!   passed, equal values have equal bytes, so nothing needs to be encoded again to be compared.
//! - Maps are read in the order of their keys, each key once; a signed body refuses what is left over.

mod read;
mod scan;
mod write;

pub(crate) use read::{Map, Reader};
pub use scan::{MAX_DEPTH, check_canonical};
pub(crate) use write::Writer;
