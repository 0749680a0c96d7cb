//! The gateway's command line, for the load generator to start as a child.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealgate::cli::main()
}
