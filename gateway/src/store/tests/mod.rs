//! What the store promises, on both databases.

mod outbox;
mod plans;
mod rows;
mod schema;
mod writing;
