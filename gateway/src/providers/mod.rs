//! Outward services as traits.
