//! Tables, for the terminal and as Markdown.

/// A title and cells; the first column is of words, the others of figures.
#[derive(Clone, Debug, Default)]
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a head and no rows yet.
    pub fn new(title: &str, head: &[&str]) -> Table {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Table { title: title.to_owned(), rows: vec![head] }
    }

    /// Adds a row, which must have as many cells as the head.
    pub fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.rows[0].len());
        self.rows.push(row);
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        (0..self.rows[0].len()).map(|column| width(column).unwrap_or(0)).collect()
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let widths = self.widths();
        let mut text = format!("{}\n", self.title);
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(
                    |(i, (cell, &width))| {
                        if i == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
                    },
                )
                .collect();
            text.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
        }
        text
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("**{}**\n\n{}|---|", self.title, line(&self.rows[0]));
        text.push_str(&"---:|".repeat(self.rows[0].len() - 1));
        text.push('\n');
        for row in &self.rows[1..] {
            text.push_str(&line(row));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Fruit", &["kind", "µg"]);
        table.push(vec!["apple".into(), "7".into()]);
        table.push(vec!["fig".into(), "1000".into()]);
        table
    }

    #[test]
    fn columns_stand_below_each_other() {
        assert_eq!(table().to_text(), "Fruit\n  kind     µg\n  apple     7\n  fig    1000\n");
    }

    #[test]
    fn markdown() {
        let wanted = "**Fruit**\n\n| kind | µg |\n|---|---:|\n| apple | 7 |\n| fig | 1000 |\n";
        assert_eq!(table().to_markdown(), wanted);
    }
}
