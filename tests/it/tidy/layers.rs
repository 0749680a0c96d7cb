//! The arrows of `ARCHITECTURE.md`, read from its two tables, against the paths the code really uses.
//!
//! A row `| room | may use | ... |` names rooms in backquotes. An arrow that is in no row fails; a row for a room that
//! is gone fails too, so the page follows the code.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::source::{files, is_test_file, line_of, production, root, shown};

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table under the heading: first column -> names of the second.
fn table(heading: &str) -> Arrows {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let start = page
        .find(heading)
        .unwrap_or_else(|| panic!("ARCHITECTURE.md has a section `{heading}`"));
    let section = page[start + heading.len()..]
        .split("\n## ")
        .next()
        .unwrap_or("");
    let mut arrows = Arrows::new();
    for line in section.lines().filter(|l| l.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split('|');
        let from = names(cells.next().unwrap_or(""));
        let to = names(cells.next().unwrap_or(""));
        for room in from {
            arrows.entry(room).or_default().extend(to.iter().cloned());
        }
    }
    assert!(!arrows.is_empty(), "a table under `{heading}`");
    arrows
}

fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// What one file uses of its own crate and of others, with the line of each use.
fn uses(text: &str, prefix: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == '$' {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        for name in heads(rest) {
            found.push((name, line_of(text, at)));
        }
    }
    found
}

/// The first segments of what follows `crate::`: one name, or those of a group.
fn heads(rest: &str) -> Vec<String> {
    let name = |s: &str| -> String {
        s.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    if !rest.starts_with('{') {
        return vec![name(rest)];
    }
    let end = super::source::matching(rest, 0);
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut start = 1;
    for (i, c) in rest[..=end].char_indices().skip(1) {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                heads.push(name(&rest[start..i]));
                start = i + 1;
            }
            '}' if depth == 0 => heads.push(name(&rest[start..i])),
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

/// Packages whose rooms have a table: heading, folder.
const HOUSES: [(&str, &str); 2] = [
    ("## Rooms of the gateway", "gateway/src"),
    ("## Rooms of the edge box", "edge-agent/src"),
];

fn rooms(house: &str) -> BTreeSet<String> {
    fs::read_dir(root().join(house))
        .expect("a folder of sources")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_dir() || p.extension().is_some_and(|x| x == "rs"))
        .filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned()))
        .filter(|n| n != "lib" && n != "main")
        .collect()
}

fn room_of(path: &Path, house: &str) -> String {
    let shown = shown(path);
    let rest = shown.strip_prefix(house).unwrap_or(&shown);
    rest.trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or(rest)
        .trim_end_matches(".rs")
        .to_owned()
}

#[test]
fn rooms_use_each_other_only_along_the_arrows() {
    for (heading, house) in HOUSES {
        check_house(heading, house);
    }
}

fn check_house(heading: &str, house: &str) {
    let arrows = table(heading);
    let rooms = rooms(house);
    let listed: BTreeSet<String> = arrows.keys().cloned().collect();
    assert_eq!(
        rooms, listed,
        "rooms in {house} (left) and in ARCHITECTURE.md (right)"
    );

    let mut wrong = Vec::new();
    for path in files(&root().join(house), &["rs"]) {
        let room = room_of(&path, house);
        if is_test_file(&path) || room == "lib" || room == "main" {
            continue;
        }
        let allowed = &arrows[&room];
        let text = production(&fs::read_to_string(&path).expect("readable source"));
        for (used, line) in uses(&text, "crate::") {
            if rooms.contains(&used) && used != room && !allowed.contains(&used) {
                wrong.push(format!("{}:{line}: {room} -> {used}", shown(&path)));
            }
        }
        for (used, line) in uses(&text, "sealgate_") {
            let package = format!("sealgate_{used}");
            let ours = ["codec", "domain", "broker_config"].contains(&used.as_str());
            if ours && !allowed.contains(&package) {
                wrong.push(format!("{}:{line}: {room} -> {package}", shown(&path)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that ARCHITECTURE.md does not have:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_the_store_speaks_sql() {
    let mut wrong = Vec::new();
    for path in files(&root().join("gateway/src"), &["rs"]) {
        if is_test_file(&path) || room_of(&path, "gateway/src") == "store" {
            continue;
        }
        let text = production(&fs::read_to_string(&path).expect("readable source"));
        for driver in ["sea_orm::", "rusqlite::", "sqlx::", "tokio_postgres::"] {
            for (at, _) in text.match_indices(driver) {
                wrong.push(format!("{}:{}: {driver}", shown(&path), line_of(&text, at)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "SQL outside the store:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn packages_depend_on_each_other_only_along_the_arrows() {
    let arrows = table("## Packages");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files(&root(), &["toml"]) {
        let manifest = fs::read_to_string(&path).expect("a readable manifest");
        let Some(name) = package_name(&manifest).filter(|_| !shown(&path).contains("/fuzz/"))
        else {
            continue;
        };
        let Some(allowed) = arrows.get(&name) else {
            wrong.push(format!("{name} is not in ARCHITECTURE.md"));
            continue;
        };
        for used in our_dependencies(&manifest) {
            if !allowed.contains(&used) {
                wrong.push(format!("{}: {name} -> {used}", shown(&path)));
            }
        }
        seen.insert(name);
    }
    assert!(
        wrong.is_empty(),
        "arrows that ARCHITECTURE.md does not have:\n{}",
        wrong.join("\n")
    );
    let listed: BTreeSet<String> = arrows.into_keys().collect();
    assert_eq!(seen, listed, "packages (left) and ARCHITECTURE.md (right)");
}

#[test]
fn integration_tests_are_one_binary_and_the_codec_s() {
    let manifests = files(&root(), &["toml"]).into_iter();
    let folders: Vec<String> = manifests
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter_map(|path| Some(path.parent()?.join("tests")))
        .filter(|folder| folder.is_dir() && *folder != root().join("tests"))
        .map(|folder| shown(&folder))
        .collect();
    assert_eq!(
        folders,
        ["codec/tests"],
        "every other one is a binary more to link"
    );
}

fn package_name(manifest: &str) -> Option<String> {
    let section = manifest.split("[package]").nth(1)?;
    let line = section.lines().find(|l| l.starts_with("name"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// Our packages among the `[dependencies]`; what only tests use has no direction in the house.
fn our_dependencies(manifest: &str) -> Vec<String> {
    let Some(section) = manifest.split("\n[dependencies]\n").nth(1) else {
        return Vec::new();
    };
    section
        .lines()
        .take_while(|l| !l.starts_with('['))
        .filter_map(|l| l.split(['.', '=', ' ']).next())
        .filter(|n| n.starts_with("sealgate"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_reader_of_uses_understands_groups() {
    let text =
        "use crate::{app::{App, Actor}, store::Store, clock};\nlet x = crate::bus::Bus::new();";
    let found: Vec<String> = uses(text, "crate::").into_iter().map(|(n, _)| n).collect();
    assert_eq!(found, ["app", "store", "clock", "bus"]);
}
