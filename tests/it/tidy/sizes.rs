//! A file has at most 400 lines of production code, a function at most 60; comments and blank lines are free, for they
//! are wanted. Arguments are counted by the compiler's lints.

use std::{fs, path::Path};

use super::source::{files, is_test_file, line_of, matching, production, root, shown};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

#[test]
fn no_file_outgrows_four_hundred_production_lines() {
    let mut too_long = Vec::new();
    for path in files(&root(), &["rs"]) {
        if is_test_file(&path) {
            continue;
        }
        let lines = production_lines(&path);
        if lines > FILE_LINES {
            too_long.push(format!("{}: {lines} lines", shown(&path)));
        }
    }
    assert!(
        too_long.is_empty(),
        "a file past {FILE_LINES} production lines becomes a folder of the same name:\n{}",
        too_long.join("\n")
    );
}

/// Lines of code outside test items; comments and blank lines are free.
fn production_lines(path: &Path) -> usize {
    let source = fs::read_to_string(path).expect("readable source");
    production(&source)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count()
}

#[test]
fn no_function_outgrows_sixty_lines() {
    let mut too_long = Vec::new();
    for path in files(&root(), &["rs"]) {
        // Unit tests hold tables of samples; the integration tests are prose and keep the limit.
        if is_test_file(&path) && !shown(&path).starts_with("tests/") {
            continue;
        }
        let source = fs::read_to_string(&path).expect("readable source");
        let text = production(&source);
        for (name, start, end) in functions(&text) {
            let lines = text[start..end]
                .lines()
                .filter(|l| !l.trim().is_empty())
                .count()
                .saturating_sub(2);
            if lines > FUNCTION_LINES {
                let line = line_of(&text, start);
                too_long.push(format!("{}:{line} fn {name}: {lines} lines", shown(&path)));
            }
        }
    }
    assert!(
        too_long.is_empty(),
        "functions stay within {FUNCTION_LINES} lines:\n{}",
        too_long.join("\n")
    );
}

/// Name, start of the body's opening brace, end of the body.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("fn ") {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' {
            continue;
        }
        let name: String = text[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let Some(body) = body_of(text, at + 3 + name.len()) else {
            continue;
        };
        if !name.is_empty() {
            found.push((name, body, matching(text, body) + 1));
        }
    }
    found
}

/// The body's brace: the first one outside parentheses and brackets, unless a semicolon comes first.
fn body_of(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (i, c) in text[from..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(from + i),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[test]
fn the_scanner_sees_functions_and_their_lengths() {
    let text = "trait T { fn a(&self) -> [u8; 4]; }\nfn b(x: impl Fn(u8) -> u8) {\n x(1);\n}\n";
    let found = functions(text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "b");
}
