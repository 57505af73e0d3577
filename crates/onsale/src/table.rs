//! Tables: as Markdown for documents, aligned for terminals, and as HTML for pages.

use std::fmt;

use crate::markup::escaped;

/// A column by its head.
#[derive(Debug, Clone)]
struct Column {
    head: String,
    /// Figures stand to the right, words to the left.
    is_figure: bool,
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// What stands below it.
    pub(crate) note: String,
}

impl Table {
    /// Without rows, of columns as `way | orders/s: | p50 ms:`; those of figures end with a colon.
    pub(crate) fn of(heads: &str) -> Self {
        let columns = heads.split('|').map(str::trim).map(|name| Column {
            head: name.trim_end_matches(':').to_owned(),
            is_figure: name.ends_with(':'),
        });
        Self {
            columns: columns.collect(),
            rows: Vec::new(),
            note: String::new(),
        }
    }

    /// Whether there is nothing in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row; cells that are missing are empty.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells = cells.into_iter().map(Into::into);
        self.rows.push(cells.collect());
    }

    /// Adds a row as `the service | 1,234 | 0.5`.
    pub(crate) fn line(&mut self, cells: &str) {
        self.row(cells.split('|').map(str::trim));
    }

    /// Without the rows that end with this cell.
    pub(crate) fn without(mut self, last: &str) -> Self {
        self.rows
            .retain(|cells| cells.last().is_none_or(|cell| cell != last));
        self
    }

    /// Of a page; empty without rows.
    pub(crate) fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let row = |cells: &[String], tag: &str| {
            let cells = self.columns.iter().zip(cells).map(|(column, cell)| {
                let class = if column.is_figure {
                    ""
                } else {
                    " class=\"words\""
                };
                format!("<{tag}{class}>{}</{tag}>", escaped(cell))
            });
            format!("<tr>{}</tr>", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        format!(
            "<div class=\"wide\"><table><thead>{}</thead><tbody>{rows}</tbody></table></div>",
            row(&self.heads(), "th")
        )
    }

    fn heads(&self) -> Vec<String> {
        let heads = self.columns.iter().map(|column| column.head.clone());
        heads.collect()
    }

    /// For a terminal: each column is as wide as its widest cell.
    pub(crate) fn aligned(&self) -> String {
        let lines: Vec<_> = [self.heads()]
            .into_iter()
            .chain(self.rows.clone())
            .collect();
        let cell = |line: &Vec<String>, place: usize| line.get(place).cloned().unwrap_or_default();
        let mut text = String::new();
        for line in &lines {
            let mut aligned = String::from(" ");
            for (place, column) in self.columns.iter().enumerate() {
                let widths = lines.iter().map(|line| cell(line, place).chars().count());
                let width = widths.max().unwrap_or_default();
                let cell = cell(line, place);
                aligned += &if column.is_figure {
                    format!(" {cell:>width$} ")
                } else {
                    format!(" {cell:<width$} ")
                };
            }
            text += aligned.trim_end();
            text.push('\n');
        }
        if !self.note.is_empty() {
            text += &format!("  {}\n", self.note);
        }
        text
    }
}

/// As Markdown.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for column in &self.columns {
            write!(f, "| {} ", column.head)?;
        }
        f.write_str("|\n")?;
        for column in &self.columns {
            f.write_str(if column.is_figure { "|---:" } else { "|---" })?;
        }
        f.write_str("|\n")?;
        for row in &self.rows {
            for place in 0..self.columns.len() {
                let cell = row.get(place).map(String::as_str).unwrap_or_default();
                write!(f, "| {} ", cell.replace('|', "\\|").replace('\n', " "))?;
            }
            f.write_str("|\n")?;
        }
        if !self.note.is_empty() {
            writeln!(f, "\n{}", self.note)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_in_their_table() {
        let mut table = Table::of("way | per second:");
        assert!(table.is_empty());
        table.row(["a | b", "1"]);
        table.row(["c"]);
        let expected = "| way | per second |\n|---|---:|\n| a \\| b | 1 |\n| c |  |\n";
        assert_eq!(table.to_string(), expected);
    }
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::of("way | µs: |");
        table.row(["long name", "1"]);
        table.row(["b", "1,234", "x"]);
        table.note = "Some more.".to_owned();
        let expected =
            "  way           µs\n  long name      1\n  b          1,234  x\n  Some more.\n";
        assert_eq!(table.aligned(), expected);
    }
}
