//! The one integration binary: everything that needs more than one package, a socket or a child process.

mod front;
mod tidy;
