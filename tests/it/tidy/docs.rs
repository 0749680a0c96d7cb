//! Pages link to what exists, and the pages everybody expects are there.

use std::fs;

use super::source::{files, root, shown};

#[test]
fn relative_links_in_the_pages_lead_somewhere() {
    let mut dead = Vec::new();
    for path in files(&root(), &["md"]) {
        let page = fs::read_to_string(&path).expect("a readable page");
        for target in links(&page) {
            let file = target.split('#').next().unwrap_or("");
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = path.parent().expect("a page lies in a folder");
            if !folder.join(file).exists() {
                dead.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    assert!(
        dead.is_empty(),
        "links that lead nowhere:\n{}",
        dead.join("\n")
    );
}

/// Targets of `[text](target)`, outside code fences.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            if let Some(end) = line[at + 2..].find(')') {
                found.push(line[at + 2..at + 2 + end].to_owned());
            }
        }
    }
    found
}

#[test]
fn files_named_in_the_pages_exist() {
    let mut unknown = Vec::new();
    for path in files(&root(), &["md"]) {
        let page = fs::read_to_string(&path).expect("a readable page");
        let folder = path.parent().expect("a page lies in a folder").to_owned();
        // From the root, from the page, or from the rooms of the gateway, as people write them.
        let homes = [
            root(),
            folder,
            root().join("gateway"),
            root().join("gateway/src"),
        ];
        let kinds = [".rs", ".md", ".toml", ".cddl", ".py"];
        for word in page.split('`').skip(1).step_by(2) {
            let is_file = word.contains('/') && kinds.iter().any(|kind| word.ends_with(kind));
            if is_file
                && !word.contains(char::is_whitespace)
                && !homes.iter().any(|home| home.join(word).is_file())
            {
                unknown.push(format!("{}: {word}", shown(&path)));
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "files that are nowhere:\n{}",
        unknown.join("\n")
    );
}

#[test]
fn the_expected_pages_are_there() {
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "docs/dependencies.md",
        "docs/edge.md",
        "docs/operations.md",
        "docs/threats.md",
        "docs/protocol.md",
        "benches/RESULTS.md",
        ".ci/run",
    ];
    let missing: Vec<&str> = pages
        .into_iter()
        .filter(|p| !root().join(p).is_file())
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn the_changelog_speaks_of_the_version_being_built() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let version = manifest
        .lines()
        .find(|l| l.starts_with("version"))
        .and_then(|l| l.split('"').nth(1))
        .expect("the workspace has a version");
    let log = fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md");
    assert!(
        log.contains(&format!("## {version}")),
        "CHANGELOG.md has a section {version}"
    );
}

#[test]
fn every_dependency_is_explained() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let page =
        fs::read_to_string(root().join("docs/dependencies.md")).expect("docs/dependencies.md");
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|s| s.split("\n[").next())
        .expect("workspace dependencies");
    let unexplained: Vec<&str> = section
        .lines()
        .filter(|l| l.contains('=') && !l.starts_with('#') && !l.contains("path ="))
        .filter_map(|l| l.split_whitespace().next())
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(
        unexplained.is_empty(),
        "docs/dependencies.md says nothing of {unexplained:?}"
    );
}

#[test]
fn metrics_named_in_the_operations_page_exist() {
    let page = fs::read_to_string(root().join("docs/operations.md")).expect("operations");
    let mut source = String::new();
    for path in files(&root().join("gateway/src/telemetry"), &["rs"]) {
        source.push_str(&fs::read_to_string(path).expect("readable source"));
    }
    let unknown: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with("sealgate_"))
        .filter(|name| !source.contains(&format!("\"{name}\"")))
        .collect();
    assert!(unknown.is_empty(), "no such metric: {unknown:?}");
}
