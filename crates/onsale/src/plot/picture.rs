//! Plots with what is around them: as parts of a page or as a picture of their own.

use super::frame::{NARROW, RIGHT, TOP, WIDTH};
use crate::markup::escaped;

/// In a picture: height of a plot's title, what is left below a plot, and the
/// width of a character, about.
const HEADLINE: f64 = 34.0;
const GAP: f64 = 14.0;
const CHARACTER: f64 = 6.0;
/// Colours and what is drawn with them.
pub(crate) const STYLE: &str = include_str!("plot.css");
/// Colours of curves in [`STYLE`]; the next ones are told apart by dashes.
const COLOURS: usize = 10;

/// A plot that is drawn, without the picture around it.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(super) title: String,
    pub(super) height: f64,
    /// Of its lines, by number of their colour.
    pub(super) labels: Vec<String>,
    /// Whether lines are areas.
    pub(super) is_filled: bool,
    pub(super) drawn: String,
    /// What shows under the pointer, where there is one.
    pub(super) strips: String,
    /// The same for a narrow screen.
    pub(super) narrow: String,
}

impl Plot {
    /// As a part of a page, with its style.
    pub(crate) fn figure(&self) -> String {
        let mut legend = String::new();
        let filled = if self.is_filled { " filled" } else { "" };
        for (number, label) in self.labels.iter().enumerate() {
            legend += &format!(
                r#"<span class="key"><i class="{}{filled}"></i>{}</span>"#,
                colour(number),
                escaped(label)
            );
        }
        let title = escaped(&self.title);
        let svg = |class: &str, width: f64, height: f64, drawn: &str| {
            format!(
                r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">{drawn}</svg>"#
            )
        };
        let wide = self.drawn.clone() + &self.strips;
        let wide = svg("for-wide", WIDTH, self.height, &wide);
        let narrow = svg("for-narrow", NARROW.width, NARROW.height, &self.narrow);
        format!(
            r#"<figure><figcaption>{title}</figcaption>{wide}{narrow}<div class="legend">{legend}</div></figure>"#
        )
    }

    /// Title and legend on one line, the plot below.
    fn draw(&self, into: &mut String, y: f64) {
        let baseline = y + HEADLINE * 0.6;
        *into += &format!(
            "<text class=\"name title\" x=\"{RIGHT}\" y=\"{baseline:.1}\">{}</text>",
            escaped(&self.title)
        );
        let mut right = WIDTH - RIGHT;
        let keys = self.labels.iter().enumerate();
        for (number, label) in keys.rev() {
            let left = right - label.chars().count() as f64 * CHARACTER;
            *into += &format!(
                r#"<rect class="bar {}" x="{:.1}" y="{:.1}" width="10" height="10" rx="2"/><text class="tick" x="{left:.1}" y="{baseline:.1}">{}</text>"#,
                colour(number),
                left - 15.0,
                baseline - 9.0,
                escaped(label)
            );
            right = left - 30.0;
        }
        *into += &format!(
            "<g transform=\"translate(0 {})\">{}</g>\n",
            y + HEADLINE,
            self.drawn
        );
    }
}

/// Plots below each other as a picture of its own.
pub(crate) fn picture(plots: &[Plot]) -> String {
    let mut drawn = String::new();
    let mut y = TOP;
    for plot in plots {
        plot.draw(&mut drawn, y);
        y += HEADLINE + plot.height + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"system-ui, sans-serif\" role=\"img\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{y}\" rx=\"6\"/>\n{drawn}</svg>\n"
    )
}

/// The class of the curve of a number.
pub(super) fn colour(number: usize) -> String {
    let again = if number < COLOURS { "" } else { " again" };
    format!("c{}{again}", number % COLOURS + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plot::{Line, Style, over_time};

    #[test]
    fn more_curves_than_colours_are_told_apart() {
        let classes: BTreeSet<_> = (0..2 * COLOURS).map(colour).collect();
        assert_eq!(classes.len(), 2 * COLOURS);
        for class in 1..=COLOURS {
            assert!(STYLE.contains(&format!(".c{class} {{")), "{class}");
        }
    }

    #[test]
    fn a_picture_needs_nothing_else() {
        let lines = [Line {
            label: "orders <1>".to_owned(),
            before: None,
            values: vec![0.0, 10.0],
        }];
        let svg = picture(&[over_time("x", &[1.0, 2.0], &lines, Style::Lines, &[])]);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert_eq!(svg.matches("http").count(), 1);
        assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("orders &lt;1&gt;"));
        // Nobody can point at anything in a picture.
        assert!(!svg.contains("strip\""), "{svg}");
    }
}
