//! Tables as Markdown.

use std::fmt;

/// A column by its head.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// Of words, to the left.
    Text(&'static str),
    /// Of figures, to the right.
    Figure(&'static str),
}

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub(crate) fn of(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
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
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for column in &self.columns {
            let (Column::Text(head) | Column::Figure(head)) = column;
            write!(f, "| {head} ")?;
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
}
