//! What is printed.

/// One line of a table: a number for each contender, where there is one.
pub struct Row {
    label: String,
    cells: Vec<String>,
}

impl Row {
    /// Seconds, shown in milliseconds.
    pub fn times<const N: usize>(label: &str, seconds: [Option<f64>; N]) -> Self {
        Self::new(label, seconds, |time| format!("{:.3} ms", time * 1000.0))
    }

    pub fn rates<const N: usize>(label: &str, rates: [Option<f64>; N]) -> Self {
        Self::new(label, rates, |rate| format!("{rate:.0}"))
    }

    pub fn counts<const N: usize>(label: &str, counts: [Option<f64>; N]) -> Self {
        Self::rates(label, counts)
    }

    pub fn ratios<const N: usize>(label: &str, ratios: [Option<f64>; N]) -> Self {
        Self::new(label, ratios, |ratio| format!("{ratio:.2}"))
    }

    pub fn kib<const N: usize>(label: &str, kib: [f64; N]) -> Self {
        Self::new(label, kib.map(Some), |kib| format!("{kib:.0} KiB"))
    }

    fn new<const N: usize>(label: &str, values: [Option<f64>; N], show: fn(f64) -> String) -> Self {
        let cells = values.into_iter().map(|value| value.map_or_else(|| "-".to_owned(), show)).collect();
        Self { label: label.to_owned(), cells }
    }
}

/// A number that vscan has to reach.
pub struct Target {
    what: String,
    value: f64,
    limit: f64,
    sign: &'static str,
    reached: bool,
}

impl Target {
    pub fn at_most(what: &str, value: f64, limit: f64) -> Self {
        Self { what: what.to_owned(), value, limit, sign: "<=", reached: value <= limit }
    }

    pub fn at_least(what: &str, value: f64, limit: f64) -> Self {
        Self { what: what.to_owned(), value, limit, sign: ">=", reached: value >= limit }
    }
}

/// One part of the benchmark.
pub struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
    footer: Vec<String>,
}

impl Table {
    pub fn new(title: &str) -> Self {
        let columns = vec!["plain", "vscan", "virusfilter"];
        Self { title: title.to_owned(), columns, rows: Vec::new(), footer: Vec::new() }
    }

    /// Of other contenders.
    pub fn with_columns(title: &str, columns: Vec<&'static str>) -> Self {
        Self { columns, ..Self::new(title) }
    }

    /// Adds the columns of clamd by itself, and of a client that visits a file and then has clamd scan it.
    pub fn with_clamd(mut self) -> Self {
        self.columns.extend(["clamd alone", "plain, clamd"]);
        self
    }

    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn target(&mut self, target: Target) {
        let Target { what, value, limit, sign, reached } = target;
        let verdict = if reached { "reached" } else { "NOT reached" };
        self.footer.push(format!("vscan: {what} = {value:.2}, to be {sign} {limit:.2}: {verdict}"));
    }

    pub fn note(&mut self, text: String) {
        self.footer.push(text);
    }

    pub fn print(&self) {
        println!("\n{}", self.title);
        let heads = self.columns.iter().map(|head| format!("{head:>13}")).collect::<String>();
        println!("{:44}{heads}", "");
        for Row { label, cells } in &self.rows {
            let cells = cells.iter().map(|cell| format!("{cell:>13}")).collect::<String>();
            println!("  {label:42}{cells}");
        }
        for line in &self.footer {
            println!("  {line}");
        }
    }
}
