//! Lines and cells of tables.

use std::fmt::{self, Formatter};

/// Writes cells, each as wide as its column.
pub(crate) fn write_line(
    f: &mut Formatter<'_>,
    widths: &[usize],
    cells: impl IntoIterator<Item = String>,
) -> fmt::Result {
    for (cell, width) in cells.into_iter().zip(widths) {
        write!(f, "{cell:>width$} ")?;
    }
    writeln!(f)
}

/// Two digits after the point; `-` for NaN.
pub(crate) fn figure(value: f64) -> String {
    if value.is_nan() {
        "-".into()
    } else {
        format!("{value:.2}")
    }
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The median; NaN if there are none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => (values[(count - 1) / 2] + values[count / 2]) / 2.0,
    }
}
