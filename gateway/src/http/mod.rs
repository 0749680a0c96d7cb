//! HTTP: one file a noun, the router on one page.

#![allow(dead_code)]

mod etag;
mod extract;
mod language;
mod paging;
mod problem;
mod rate;
mod titles;

pub use rate::RateLimit;
