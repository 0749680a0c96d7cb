//! The only SQL. One file a noun.
