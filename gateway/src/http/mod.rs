//! HTTP: one file a noun, the router on one page.
//!
//! A handler reads parameters, calls one use case, shows the result. Refusals become problem documents at the
//! outermost layer; access is checked by the use cases, never here.

#![allow(dead_code)]

mod etag;
mod extract;
mod language;
mod paging;
mod problem;
mod rate;
mod titles;
