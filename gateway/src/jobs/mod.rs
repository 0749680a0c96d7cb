//! Reconcilers: compare wanted with actual, take no input, may run twice.
