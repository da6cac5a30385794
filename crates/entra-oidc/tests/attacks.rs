//! Each test that the list of attacks names is there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what a test cannot do fails it"
)]

use std::path::{Path, PathBuf};

#[test]
fn the_list_of_attacks_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("src/attacks.rs")).unwrap();
    let mut found = 0;
    for line in list.lines().filter(|line| line.starts_with("//! |")) {
        let Some(tests) = line.trim_end_matches('|').rsplit('|').next() else {
            continue;
        };
        for name in tests.split('`').filter(|name| name.contains("::")) {
            let (path, test) = name.rsplit_once("::").unwrap();
            let path = root.join(file(path));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let definition = format!("fn {test}(");
            assert!(text.contains(&definition), "{name} is not in {path:?}");
            found += 1;
        }
    }
    assert!(found > 60, "the list has {found} tests");
}

fn file(path: &str) -> PathBuf {
    let (root, rest) = path.split_once("::").unwrap_or(("", path));
    let folder = match root {
        "core" => "../entra-core/tests",
        "src" => "src",
        "" => "tests",
        folder => {
            return PathBuf::from("tests")
                .join(folder)
                .join(format!("{rest}.rs"));
        }
    };
    PathBuf::from(folder).join(format!("{rest}.rs"))
}
