//! The HTTP interface as a whole, over a real socket: access, paging, repetition, conflicts, events, documents. What a
//! single handler does is tested beside it.

mod access;
mod events;
mod flows;
mod protocol;
