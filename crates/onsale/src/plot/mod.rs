//! Plots as SVG, as parts of a page or as a picture of their own, with colours
//! that are readable in light and dark. Without scripts: on a page, the values of
//! an interval show as the title of a strip above it. A page has every plot twice,
//! for wide and for narrow screens, because text that shrinks with its picture
//! cannot be read on a phone.

mod bars;
mod frame;
mod over_time;
mod percentiles;
mod picture;

pub(crate) use bars::{Bar, bars};
pub(crate) use over_time::{Line, Mark, Style, over_time};
pub(crate) use percentiles::percentiles;
pub(crate) use picture::{Plot, STYLE, picture};
