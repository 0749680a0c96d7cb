//! The house rules that no compiler checks: arrows between rooms and packages, sizes, links, words.
//!
//! Rules live where people read them (`ARCHITECTURE.md`); these tests read the same text, so the page cannot lie.

mod docs;
mod layers;
mod sizes;
mod source;
mod words;
