//! The places of a document that tables are written into: each between a line
//! `<!-- name -->` and a line `<!-- /name -->`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure};

/// The name in a line that begins or ends a place, and whether it ends it; `None` of any other
/// line, comments of other kinds included.
fn marker(line: &str) -> Option<(&str, bool)> {
    let comment = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    let inner = comment.trim();
    let name = inner.strip_prefix('/').unwrap_or(inner);
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_marker = !name.is_empty() && name.bytes().all(is_name);
    is_marker.then_some((name, name != inner))
}

/// The document with each table in its place; what is not between markers of one
/// of them stays as it is.
pub(super) fn replaced(
    document: &str,
    tables: &BTreeMap<&'static str, String>,
    known: &[&str],
) -> anyhow::Result<String> {
    let mut written = String::with_capacity(document.len());
    let mut open: Option<&str> = None;
    let mut places = BTreeSet::new();
    for (number, line) in document.split_inclusive('\n').enumerate() {
        let at = number + 1;
        match (marker(line), open) {
            (Some((name, false)), None) => {
                ensure!(
                    known.contains(&name),
                    "line {at}: there is no table for <!-- {name} -->"
                );
                ensure!(places.insert(name), "line {at}: a second <!-- {name} -->");
                open = Some(name);
                written.push_str(line);
                if let Some(table) = tables.get(name) {
                    written.push('\n');
                    written.push_str(table.trim_end());
                    written.push_str("\n\n");
                }
            }
            (Some((name, false)), Some(outer)) => {
                bail!("line {at}: <!-- {name} --> before <!-- /{outer} -->")
            }
            (Some((name, true)), _) => {
                ensure!(
                    open == Some(name),
                    "line {at}: <!-- /{name} --> without <!-- {name} -->"
                );
                open = None;
                written.push_str(line);
            }
            (None, Some(name)) if tables.contains_key(name) => {}
            (None, _) => written.push_str(line),
        }
    }
    if let Some(name) = open {
        bail!("<!-- {name} --> without <!-- /{name} -->");
    }
    for name in tables.keys() {
        ensure!(
            places.contains(name),
            "no line <!-- {name} --> for the table of that name"
        );
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["one", "other"];
    const DOCUMENT: &str = "# Head\r\n<!-- a comment: by hand -->\n  <!-- one -->\nold | x\n\n\
                            <!-- /one -->\nprose | y\n<!-- other -->\nkept\n<!-- /other -->\nend";

    fn tables() -> BTreeMap<&'static str, String> {
        [("one", "| new |\n\n".to_owned())].into()
    }

    #[test]
    fn only_the_place_of_the_table_changes() {
        let written = replaced(DOCUMENT, &tables(), &KNOWN).unwrap();
        let expected = DOCUMENT.replace("old | x\n\n", "\n| new |\n\n");
        assert_eq!(written, expected);
    }

    #[test]
    fn writing_twice_changes_nothing() {
        let once = replaced(DOCUMENT, &tables(), &KNOWN).unwrap();
        assert_eq!(replaced(&once, &tables(), &KNOWN).unwrap(), once);
        assert_eq!(replaced(&once, &BTreeMap::new(), &KNOWN).unwrap(), once);
    }

    #[test]
    fn wrong_markers_are_named() {
        for (document, told) in [
            (
                "<!-- two -->\n<!-- /two -->\n",
                "line 1: there is no table for <!-- two -->",
            ),
            ("<!-- one -->\n", "<!-- one --> without <!-- /one -->"),
            (
                "\n<!-- /one -->\n",
                "line 2: <!-- /one --> without <!-- one -->",
            ),
            (
                "<!-- one -->\n<!-- other -->\n<!-- /other -->\n<!-- /one -->\n",
                "line 2: <!-- other --> before <!-- /one -->",
            ),
            (
                "<!-- one -->\n<!-- /other -->\n",
                "line 2: <!-- /other --> without <!-- other -->",
            ),
            (
                "<!-- one -->\n<!-- /one -->\n<!-- one -->\n<!-- /one -->\n",
                "line 3: a second <!-- one -->",
            ),
            (
                "nothing\n",
                "no line <!-- one --> for the table of that name",
            ),
        ] {
            let error = replaced(document, &tables(), &KNOWN).unwrap_err();
            assert_eq!(error.to_string(), told, "{document}");
        }
    }
}
