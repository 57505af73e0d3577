//! HTML and SVG as text.

use std::fmt::{Arguments, Write};

/// Text within HTML and SVG.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Writes more of it.
pub(crate) fn push(text: &mut String, more: Arguments<'_>) {
    // Writing into a text does not fail.
    let _written = text.write_fmt(more);
}
