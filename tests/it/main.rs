//! The one integration binary: everything that needs more than one package, a socket or a child process.

mod api;
mod bad_input;
mod bluez;
mod front;
mod full_disk;
mod interop;
mod isolation;
mod kill;
mod life;
mod lock;
mod mosquitto;
mod offline;
mod postgres;
mod postgres_tls;
mod reload;
mod rogue;
mod rotation;
mod slow;
mod stock;
mod tidy;
