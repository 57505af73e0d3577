//! Tables: as Markdown for documents, aligned for terminals, and as HTML for pages.

use std::fmt;

use crate::markup::escaped;

/// A column by its head.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// Of words, to the left.
    Text(&'static str),
    /// Of figures, to the right.
    Figure(&'static str),
}

impl Column {
    const fn head(self) -> &'static str {
        let (Self::Text(head) | Self::Figure(head)) = self;
        head
    }
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
    /// Without rows.
    pub(crate) fn of(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
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

    /// Of a page.
    pub(crate) fn html(&self) -> String {
        let row = |cells: &[String], tag: &str| {
            let cells = self.columns.iter().zip(cells).map(|(column, cell)| {
                let class = match column {
                    Column::Text(_) => " class=\"words\"",
                    Column::Figure(_) => "",
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
        let heads = self.columns.iter().map(|column| column.head().to_owned());
        heads.collect()
    }

    /// For a terminal: each column is as wide as its widest cell.
    pub(crate) fn aligned(&self) -> String {
        let lines: Vec<_> = [self.heads()]
            .into_iter()
            .chain(self.rows.clone())
            .collect();
        let cell =
            |line: &'_ Vec<String>, place: usize| line.get(place).cloned().unwrap_or_default();
        let mut text = String::new();
        for line in &lines {
            let mut aligned = String::from(" ");
            for (place, column) in self.columns.iter().enumerate() {
                let widths = lines.iter().map(|line| cell(line, place).chars().count());
                let width = widths.max().unwrap_or_default();
                let cell = cell(line, place);
                aligned += &match column {
                    Column::Text(_) => format!(" {cell:<width$} "),
                    Column::Figure(_) => format!(" {cell:>width$} "),
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
            write!(f, "| {} ", column.head())?;
        }
        f.write_str("|\n")?;
        for column in &self.columns {
            f.write_str(match column {
                Column::Text(_) => "|---",
                Column::Figure(_) => "|---:",
            })?;
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
        let mut table = Table::of([Column::Text("way"), Column::Figure("per second")]);
        assert!(table.is_empty());
        table.row(["a | b", "1"]);
        table.row(["c"]);
        let expected = "| way | per second |\n|---|---:|\n| a \\| b | 1 |\n| c |  |\n";
        assert_eq!(table.to_string(), expected);
    }
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::of([Column::Text("way"), Column::Figure("µs"), Column::Text("")]);
        table.row(["long name", "1"]);
        table.row(["b", "1,234", "x"]);
        table.note = "Some more.".to_owned();
        let expected =
            "  way           µs\n  long name      1\n  b          1,234  x\n  Some more.\n";
        assert_eq!(table.aligned(), expected);
    }
}
