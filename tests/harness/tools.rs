//! Programs of other people, where the machine has them.

use std::{
    env,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// The program's path, or `None` with the reason printed.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain(["/usr/bin".into(), "/usr/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: {program} is not installed");
    }
    found
}

/// A Python that has `module`, or `None` with the reason printed. `SEALGATE_TEST_PYTHON` names one.
#[must_use]
pub fn python_with(module: &str) -> Option<PathBuf> {
    let python = match env::var_os("SEALGATE_TEST_PYTHON") {
        Some(named) => PathBuf::from(named),
        None => find("python3")?,
    };
    let has = run(Command::new(&python).args(["-c", &format!("import {module}")]));
    if has.status.success() {
        return Some(python);
    }
    println!("skipped: {} has no module {module}", python.display());
    None
}

/// Runs to the end with both outputs captured.
///
/// # Panics
/// The program cannot be started.
pub fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
