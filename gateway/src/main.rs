//! The `sealgate` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealgate::cli::main()
}
