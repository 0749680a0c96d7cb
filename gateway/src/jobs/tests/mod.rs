//! Devices played through `SessionHost`, over a real database, with real jobs and a signer of one key.

mod answers;
mod away;
mod clock;
mod commands;
mod guard;
mod lifecycle;
mod rotation;
mod stamps;
mod world;
