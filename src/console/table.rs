//! A table in words: columns as wide as what stands in them.

use super::text;

/// A table that is filled row by row.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column's title, and to which side its cells are pushed.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Column::Left(title) | Column::Right(title) => title,
        }
    }
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Table {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The titles and the rows in the order in which they came, without blanks at the end.
    pub(super) fn lines(&self) -> Vec<String> {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title().to_owned()).collect();
        let width = |k: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(k));
            cells.chain(&titles[k..=k]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells =
                row.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| match column {
                    Column::Left(_) => format!("{cell:<width$}"),
                    Column::Right(_) => format!("{cell:>width$}"),
                });
            cells.collect::<Vec<String>>().join("  ").trim_end().to_owned()
        };
        [&titles].into_iter().chain(&self.rows).map(line).collect()
    }
}

/// Lines cut to a window, as far as its measures are known; the last line says how many are missing.
pub(super) fn fit(mut lines: Vec<String>, height: Option<usize>, width: Option<usize>) -> Vec<String> {
    if let Some(height) = height.filter(|height| lines.len() > *height) {
        let missing = lines.len() - height.saturating_sub(1);
        lines.truncate(height.saturating_sub(1));
        lines.push(format!("… {missing} lines more"));
    }
    match width {
        Some(width) => lines.iter().map(|line| text::cut(line, width)).collect(),
        None => lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[[&str; 3]]) -> Vec<String> {
        let mut table = Table::new(vec![Column::Left("NAME"), Column::Right("N"), Column::Left("WHY")]);
        for row in rows {
            table.push(row.map(str::to_owned).to_vec());
        }
        table.lines()
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        assert_eq!(rows(&[]), ["NAME  N  WHY"]);
        assert_eq!(
            rows(&[["a", "1000", ""], ["a-longer-name", "2", "because"], ["ü", "-", "-"]]),
            [
                "NAME              N  WHY",
                "a              1000",
                "a-longer-name     2  because",
                "ü                 -  -",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_a_window_is_left_out_and_said_to_be() {
        let lines = || ["one", "two", "three", "four"].map(str::to_owned).to_vec();
        assert_eq!(fit(lines(), None, None), lines());
        assert_eq!(fit(lines(), Some(4), Some(5)), lines());
        assert_eq!(fit(lines(), Some(3), None), ["one", "two", "… 2 lines more"]);
        assert_eq!(fit(lines(), Some(1), Some(3)), ["… …"]);
        assert_eq!(fit(lines(), None, Some(3)), ["one", "two", "th…", "fo…"]);
    }
}
