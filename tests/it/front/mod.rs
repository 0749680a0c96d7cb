//! The front against hostile and clumsy clients, over real sockets.

mod attacks;
mod business;
mod interop;
mod limits;
mod sessions;
mod slow;
mod support;
mod tls;
