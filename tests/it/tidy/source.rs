//! Finds the repository's text files and reads Rust source well enough to judge it.
//!
//! [`blank`] keeps every line break and every brace of code, and blanks what is inside comments, strings and
//! characters; line numbers therefore stay true. [`production`] also blanks what only tests compile.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository's root.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests package lies in the workspace")
        .to_owned()
}

/// Every file below `dir` with one of the extensions, sorted; build output and hidden folders are left out.
pub(super) fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(dir, extensions, &mut found);
    found.sort();
    found
}

fn walk(dir: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let skipped = ["target", "node_modules", "corpus", "artifacts", "vendor"];
            if !skipped.contains(&name.as_ref()) && (!name.starts_with('.') || name == ".ci") {
                walk(&path, extensions, found);
            }
        } else if extensions
            .iter()
            .any(|e| path.extension().is_some_and(|x| x == *e))
        {
            found.push(path);
        }
    }
}

/// The path as people write it in this repository.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

/// Source that only tests compile, by its place.
pub(super) fn is_test_file(path: &Path) -> bool {
    let shown = shown(path);
    shown.starts_with("tests/it/")
        || shown.contains("/tests/")
        || shown.ends_with("/tests.rs")
        || shown.ends_with("/testing.rs")
        || shown.ends_with("_tests.rs")
        || shown.contains("/fuzz/")
        || shown.contains("/benches/")
}

/// Blanks comments and the insides of strings and characters; everything else keeps its place.
pub(super) fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => line_comment(&chars, at),
            ('/', Some('*')) => block_comment(&chars, at),
            ('"', _) => string(&chars, at),
            ('r', Some('"' | '#')) if !after_name(&chars, at) => raw_string(&chars, at),
            ('\'', _) => character(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out.into_iter().collect()
}

fn after_name(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b'
}

fn line_comment(chars: &[char], at: usize) -> usize {
    (at..chars.len())
        .find(|i| chars[*i] == '\n')
        .unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    chars.len()
}

fn string(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut i = at + 2 + hashes;
    while i < chars.len() {
        if chars[i] == '"'
            && chars[i + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
        {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => (at + 3..chars.len())
            .find(|i| chars[*i] == '\'')
            .map_or(at, |i| i + 1),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// What of `source` runs in production: blanked, and without `#[cfg(test)]` items.
pub(super) fn production(source: &str) -> String {
    let mut text = blank(source);
    while let Some(start) = text.find("#[cfg(test)]") {
        let rest = &text[start..];
        let end = match (rest.find('{'), rest.find(';')) {
            (Some(open), Some(semicolon)) if semicolon < open => start + semicolon + 1,
            (Some(open), _) => matching(&text, start + open) + 1,
            (None, Some(semicolon)) => start + semicolon + 1,
            (None, None) => text.len(),
        };
        let blanked: String = text[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        text.replace_range(start..end, &blanked);
    }
    text
}

/// Where the brace opened at `open` closes.
pub(super) fn matching(text: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (i, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return open + i;
                }
            }
            _ => {}
        }
    }
    text.len() - 1
}

/// The line a byte stands on, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn blanking_keeps_lines_and_braces_of_code_only() {
    let source = "fn a() { // }\n let s = \"}\"; let r = r#\"}\"}\"#; let c = '}'; let l: &'static str = s; /* } */ }";
    let blanked = blank(source);
    assert_eq!(blanked.matches('}').count(), 1);
    assert_eq!(blanked.matches('\n').count(), 1);
    assert!(blanked.contains("'static"));
}

#[test]
fn production_leaves_test_modules_out() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}\n";
    let text = production(source);
    assert!(text.contains("fn a") && text.contains("fn c") && !text.contains("fn b"));
}
