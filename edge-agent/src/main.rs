//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealgate_edge::cli::main()
}
