//! The fake BlueZ as an unmodified client sees it: `bluer`, in a process of its own, because the address of the bus is
//! one a process.

mod breaking;
mod client;
mod support;
mod using;
