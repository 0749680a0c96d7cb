//! HTTP: one file a noun, the router on one page.
