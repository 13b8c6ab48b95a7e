//! A table in words: columns as wide as what stands in them.

use super::text;

/// What stands between two columns.
const GAP: &str = "  ";

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

    /// Takes columns out, those of `least` in its order, until the lines are no wider than `width`; tells which.
    pub(super) fn narrow(&mut self, width: usize, least: &[&'static str]) -> Vec<&'static str> {
        let mut gone = Vec::new();
        for title in least {
            if self.widths().iter().sum::<usize>() + GAP.len() * (self.columns.len() - 1) <= width {
                break;
            }
            if let Some(k) = self.columns.iter().position(|column| column.title() == *title) {
                self.columns.remove(k);
                self.rows.iter_mut().for_each(|row| drop(row.remove(k)));
                gone.push(*title);
            }
        }
        gone
    }

    /// Adds a row with a cell for each column.
    pub(super) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The titles and the rows in the order in which they came, without blanks at the end.
    pub(super) fn lines(&self) -> Vec<String> {
        let titles: Vec<String> = self.columns.iter().map(|column| column.title().to_owned()).collect();
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells =
                row.iter().zip(&self.columns).zip(&widths).map(|((cell, column), width)| match column {
                    Column::Left(_) => format!("{cell:<width$}"),
                    Column::Right(_) => format!("{cell:>width$}"),
                });
            cells.collect::<Vec<String>>().join(GAP).trim_end().to_owned()
        };
        [&titles].into_iter().chain(&self.rows).map(line).collect()
    }

    /// How wide each column is.
    fn widths(&self) -> Vec<usize> {
        let width = |(k, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(k));
            cells.map(|cell| cell.chars().count()).chain([column.title().len()]).max().unwrap_or(0)
        };
        self.columns.iter().enumerate().map(width).collect()
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
    fn columns_go_in_their_order_until_the_rest_fits() {
        let narrowed = |width| {
            let columns = [Column::Left("NAME"), Column::Right("N"), Column::Left("WHY")];
            let mut table = Table::new(columns.to_vec());
            table.push(["a-name", "1000", "because"].map(str::to_owned).to_vec());
            let gone = table.narrow(width, &["OTHER", "N", "WHY"]);
            (gone, table.lines())
        };
        let (gone, lines) = narrowed(21);
        assert_eq!((gone, lines[1].as_str()), (vec![], "a-name  1000  because"));
        let (gone, lines) = narrowed(20);
        assert_eq!((gone, lines), (vec!["N"], vec!["NAME    WHY".to_owned(), "a-name  because".to_owned()]));
        // What must stay stays, and is cut elsewhere.
        let (gone, lines) = narrowed(3);
        assert_eq!((gone, lines), (vec!["N", "WHY"], vec!["NAME".to_owned(), "a-name".to_owned()]));
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
