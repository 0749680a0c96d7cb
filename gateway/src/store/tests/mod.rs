//! What the store promises, on both databases.

mod outbox;
mod rows;
mod schema;
mod writing;
