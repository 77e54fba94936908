//! docs/KERNELS.md: the table of what the tests found on each kernel. Written only from results, and only when asked.

use std::fs;

use anyhow::{Context as _, Result};

use super::Column;
use crate::workspace::Workspace;

/// Writes the table.
pub(super) fn write(workspace: &Workspace, columns: &[Column]) -> Result<()> {
    let file = workspace.root().join("docs").join("KERNELS.md");
    fs::create_dir_all(workspace.root().join("docs")).context("the folder docs/")?;
    fs::write(&file, page(columns)).with_context(|| format!("writing {}", file.display()))?;
    println!("written: {}", file.display());
    Ok(())
}

/// Rows are keys in the order of their first appearance; a kernel that did not say has a dash.
fn page(columns: &[Column]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in columns.iter().flat_map(|(_, rows)| rows) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = std::iter::once(String::new())
        .chain(columns.iter().map(|(name, _)| escaped(name)))
        .collect();
    let mut text = String::from(
        "# What sentinel does on each kernel\n\nEvery cell was measured by the contracts in `tests/`; `cargo xtask vm --write-docs` writes this page. \
         Kernels are Debian's cloud kernels in QEMU's software emulation, so times are not those of a processor.\n\n",
    );
    text.push_str(&line(head));
    text.push_str(&format!("|{}\n", "---|".repeat(columns.len() + 1)));
    for key in keys {
        let cells = columns.iter().map(|(_, rows)| {
            let mut values: Vec<&str> = rows
                .iter()
                .filter(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
                .collect();
            values.dedup();
            if values.is_empty() {
                "–".to_owned()
            } else {
                escaped(&values.join(", "))
            }
        });
        text.push_str(&line(std::iter::once(escaped(key)).chain(cells).collect()));
    }
    text
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_keys_and_columns_are_kernels() {
        let row = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let columns = [
            ("5.10".to_owned(), vec![row("kernel", "5.10.0"), row("hook", "a|b")]),
            ("6.1".to_owned(), vec![row("kernel", "6.1.0"), row("late", "yes")]),
        ];
        let page = page(&columns);
        assert!(page.contains("|  | 5.10 | 6.1 |\n|---|---|---|\n| kernel | 5.10.0 | 6.1.0 |\n| hook | a\\|b | – |\n| late | – | yes |\n"), "{page}");
    }
}
