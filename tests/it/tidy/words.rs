//! Words and paths that must not be in the repository: promises of later work, machines of one author, panics in
//! place of thought.

use std::fs;

use super::source::{blank, files, is_test_file, production, root, shown};

/// Written in two halves so that this file does not find itself.
const ANYWHERE: [(&str, &str); 8] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("for", " now,"),
    ("/wo", "rk/"),
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("work", "tree"),
    ("Co-Autho", "red"),
];

#[test]
fn no_page_and_no_source_holds_a_forbidden_word() {
    let mut found = Vec::new();
    let kinds = [
        "rs", "md", "toml", "sql", "cddl", "json", "sh", "yml", "yaml",
    ];
    let mut paths = files(&root(), &kinds);
    paths.push(root().join(".ci/run"));
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for (a, b) in ANYWHERE {
                if line.contains(&format!("{a}{b}")) {
                    found.push(format!("{}:{}: {a}{b}", shown(&path), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "forbidden words:\n{}", found.join("\n"));
}

#[test]
fn libraries_print_nothing_and_promise_nothing() {
    let mut found = Vec::new();
    for package in [
        "codec",
        "broker-config",
        "gateway",
        "edge-agent",
        "simulators",
    ] {
        for path in files(&root().join(package), &["rs"]) {
            let place = shown(&path);
            let edge =
                place.ends_with("main.rs") || place.contains("/cli/") || place.contains("/demo/");
            if is_test_file(&path) || place.contains("/examples/") {
                continue;
            }
            let text = production(&fs::read_to_string(&path).expect("readable source"));
            for word in ["println!", "eprintln!", "print!("] {
                if !edge && text.contains(word) {
                    found.push(format!("{place}: {word}"));
                }
            }
            for word in [
                "todo!",
                "unimplemented!",
                "dbg!",
                ".unwrap()",
                "process::exit",
            ] {
                if text.contains(word) && !(edge && word == "process::exit") {
                    found.push(format!("{place}: {word}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "not in a library:\n{}", found.join("\n"));
}

#[test]
fn modules_begin_by_saying_what_they_hold() {
    let mut silent = Vec::new();
    for path in files(&root(), &["rs"]) {
        let place = shown(&path);
        let unit_tests = is_test_file(&path) && !place.starts_with("tests/");
        if place.contains("/fuzz/") || unit_tests {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable source");
        let first = text
            .lines()
            .find(|l| !l.trim().is_empty() && !l.starts_with("#!"));
        if !first.unwrap_or("").starts_with("//!") {
            silent.push(place);
        }
    }
    assert!(
        silent.is_empty(),
        "modules without a first doc line:\n{}",
        silent.join("\n")
    );
}

#[test]
fn no_unsafe_code() {
    for path in files(&root(), &["rs"]) {
        let text = blank(&fs::read_to_string(&path).expect("readable source"));
        assert!(!text.contains("unsafe {"), "{}", shown(&path));
    }
}
