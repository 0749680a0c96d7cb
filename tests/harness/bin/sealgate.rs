//! The gateway's command line in a binary of this package: cargo builds no other package's binaries for tests, and
//! a test that kills needs something to kill.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealgate::cli::main()
}
