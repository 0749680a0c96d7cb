//! Seals on pseudo-terminals: what a serial dock is to the one who opens it.
//!
//! - A line has one path, a symbolic link, whatever terminal is behind it; unplugged, the path is gone and whoever has it
//!   open reads the end; plugged in again, the same path leads to a new terminal, as with an adapter on USB.
//! - The line keeps its terminal open on both sides, so a program that closes and opens it is not seen by the seal,
//!   just as on a real line. A lock a program leaves behind (`TIOCEXCL`) would then outlive it, which it does not on
//!   real hardware: it is lifted again and again.
//! - Noise on the line comes from a seed.

mod line;
mod noise;
mod pty;

#[cfg(test)]
mod tests;

pub use line::{LineBusy, SerialLine};
pub use noise::{Noise, NoisySource};
pub use pty::Pty;
