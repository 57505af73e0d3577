//! Lines and areas over time, with marks for what happened.

use super::frame::{Frame, NARROW, Size, TOP, WIDE, point, step, x_axis, y_axis};
use super::picture::{Plot, colour};
use crate::digits::short;
use crate::markup::escaped;

/// Values over time.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What they are.
    pub(crate) label: String,
    /// At the start, where that is known: curves start there.
    pub(crate) before: Option<f64>,
    /// One per interval.
    pub(crate) values: Vec<f64>,
}

/// How lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Each from zero.
    Lines,
    /// As areas, one upon the other.
    Stacked,
}

/// Something that happened, in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// When it began.
    pub(crate) from: f64,
    /// When it was over.
    pub(crate) until: f64,
    /// What it was.
    pub(crate) label: String,
}

/// A plot of lines over seconds; `instants` are the ends of the intervals.
pub(crate) fn over_time(
    title: &str,
    instants: &[f64],
    lines: &[Line],
    style: Style,
    marks: &[Mark],
) -> Plot {
    let curves = Curves::of(instants, lines, style);
    let step = step(curves.most());
    let frame = |size: Size| Frame {
        size,
        most_x: instants
            .last()
            .copied()
            .unwrap_or(1.0)
            .max(f64::MIN_POSITIVE),
        most_y: (curves.most() / step).ceil().max(1.0) * step,
    };
    let drawn = |size: Size| {
        let frame = frame(size);
        let mut svg = String::new();
        y_axis(&mut svg, &frame, step);
        x_axis(&mut svg, &frame);
        match style {
            // Areas would hide them.
            Style::Stacked => {
                curves.areas(&mut svg, &frame);
                bands(&mut svg, &frame, marks);
            }
            Style::Lines => {
                bands(&mut svg, &frame, marks);
                curves.lines(&mut svg, &frame);
            }
        }
        svg
    };
    Plot {
        title: title.to_owned(),
        height: WIDE.height,
        labels: lines.iter().map(|line| line.label.clone()).collect(),
        is_filled: style == Style::Stacked,
        drawn: drawn(WIDE),
        strips: strips(&frame(WIDE), instants, lines) + &flags(&frame(WIDE), marks),
        narrow: drawn(NARROW) + &flags(&frame(NARROW), marks),
    }
}

/// Lines as they are drawn.
struct Curves {
    instants: Vec<f64>,
    /// The upper edge of each line.
    tops: Vec<Vec<f64>>,
}

impl Curves {
    fn of(instants: &[f64], lines: &[Line], style: Style) -> Self {
        let starts: Option<Vec<f64>> = lines.iter().map(|line| line.before).collect();
        let values = lines.iter().enumerate().map(|(number, line)| {
            let start = starts.as_ref().and_then(|starts| starts.get(number));
            start.into_iter().chain(&line.values).copied().collect()
        });
        let start = starts.is_some().then_some(0.0);
        Self {
            instants: start.iter().chain(instants).copied().collect(),
            tops: tops(values, style),
        }
    }

    fn most(&self) -> f64 {
        self.tops.iter().flatten().copied().fold(0.0, f64::max)
    }

    fn lines(&self, svg: &mut String, frame: &Frame) {
        for (number, top) in self.tops.iter().enumerate() {
            let at = self.instants.iter().zip(top);
            let points: Vec<_> = at.map(|(at, value)| point(frame, *at, *value)).collect();
            let (points, colour) = (points.join(" "), colour(number));
            *svg += &format!(r#"<polyline class="line {colour}" points="{points}"/>"#);
        }
    }

    fn areas(&self, svg: &mut String, frame: &Frame) {
        for (number, top) in self.tops.iter().enumerate() {
            let below = number.checked_sub(1).and_then(|below| self.tops.get(below));
            let at = self.instants.iter().enumerate();
            let upper = at.clone().zip(top);
            let upper = upper.map(|((_, at), value)| point(frame, *at, *value));
            let floor = at.rev().map(|(place, at)| {
                let value = below.and_then(|below| below.get(place)).copied();
                point(frame, *at, value.unwrap_or(0.0))
            });
            let points: Vec<_> = upper.chain(floor).collect();
            let (points, colour) = (points.join(" "), colour(number));
            *svg += &format!(r#"<polygon class="area {colour}" points="{points}"/>"#);
        }
    }
}

/// The upper edge of each line.
fn tops(lines: impl Iterator<Item = Vec<f64>>, style: Style) -> Vec<Vec<f64>> {
    let mut tops: Vec<Vec<f64>> = Vec::new();
    for mut top in lines {
        let below = tops.last().filter(|_| style == Style::Stacked);
        for (value, below) in top.iter_mut().zip(below.into_iter().flatten()) {
            *value += below;
        }
        tops.push(top);
    }
    tops
}

/// A strip above each interval, with its values as title.
fn strips(frame: &Frame, instants: &[f64], lines: &[Line]) -> String {
    let mut svg = String::new();
    let mut from = 0.0;
    for (place, until) in instants.iter().enumerate() {
        let mut values = String::new();
        for line in lines {
            let value = line.values.get(place).copied().unwrap_or_default();
            values += &format!("\n{}: {}", line.label, short(value));
        }
        let (x, width) = (frame.x(from), frame.x(*until) - frame.x(from));
        let height = frame.inner_height();
        svg += &format!(
            r#"<rect class="strip" x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}"><title>until {} s{}</title></rect>"#,
            short(*until),
            escaped(&values)
        );
        from = *until;
    }
    svg
}

/// A band behind the lines for each mark, from its start to its end.
fn bands(svg: &mut String, frame: &Frame, marks: &[Mark]) {
    let height = frame.inner_height();
    for mark in marks {
        let (x, width) = extent(frame, mark);
        *svg += &format!(
            r#"<rect class="band" x="{x:.1}" y="{TOP}" width="{width:.1}" height="{height}"/>"#
        );
    }
}

/// The head of each band, above the strips, with the mark's label as title.
fn flags(frame: &Frame, marks: &[Mark]) -> String {
    let mut svg = String::new();
    for mark in marks {
        let (x, width) = extent(frame, mark);
        svg += &format!(
            r#"<rect class="flag" x="{x:.1}" y="0" width="{width:.1}" height="{TOP}"><title>{}</title></rect>"#,
            escaped(&mark.label)
        );
    }
    svg
}

/// Where a mark starts and how wide it is: wide enough to be seen.
fn extent(frame: &Frame, mark: &Mark) -> (f64, f64) {
    let x = frame.x(mark.from.min(frame.most_x));
    (x, (frame.x(mark.until.min(frame.most_x)) - x).max(2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::frame::{BOTTOM, LEFT, RIGHT, WIDTH};

    fn line(values: &[f64]) -> Line {
        Line {
            label: "orders <1>".to_owned(),
            before: None,
            values: values.to_vec(),
        }
    }

    #[test]
    fn lines_start_at_the_bottom_and_end_at_the_top() {
        let lines = [line(&[0.0, 10.0])];
        let svg = over_time("x & y", &[1.0, 2.0], &lines, Style::Lines, &[]).figure();
        let (bottom, top) = (WIDE.height - BOTTOM, TOP);
        assert!(
            svg.contains(&format!("{bottom:.1} {:.1},{top:.1}\"", WIDTH - RIGHT)),
            "{svg}"
        );
        assert!(svg.contains("x &amp; y") && svg.contains("orders &lt;1&gt;: 10"));
    }

    #[test]
    fn a_mark_is_where_it_happened_and_wide_enough_to_be_seen() {
        let mark = |from: f64, until: f64| Mark {
            from,
            until,
            label: "worker <1>".to_owned(),
        };
        let marks = [mark(1.0, 2.0), mark(0.5, 0.5), mark(1.5, 9.0)];
        let lines = [line(&[1.0, 1.0])];
        let svg = over_time("x", &[1.0, 2.0], &lines, Style::Lines, &marks).figure();
        let half = (WIDTH - LEFT - RIGHT) / 2.0;
        let flag = |x: f64, width: f64| {
            format!(r#"<rect class="flag" x="{x:.1}" y="0" width="{width:.1}""#)
        };
        assert!(svg.contains(&flag(LEFT + half, half)), "{svg}");
        assert!(svg.contains(&flag(LEFT + half / 2.0, 2.0)), "{svg}");
        assert!(svg.contains(&flag(LEFT + half * 1.5, half / 2.0)), "{svg}");
        assert!(svg.contains("<title>worker &lt;1&gt;</title>"));
    }

    #[test]
    fn areas_stand_upon_each_other() {
        let values = [vec![1.0, 2.0], vec![3.0, 4.0]];
        let tops = tops(values.into_iter(), Style::Stacked);
        assert_eq!(tops, [[1.0, 2.0], [4.0, 6.0]]);
    }

    #[test]
    fn a_curve_starts_where_it_was_before_the_first_interval() {
        let mut sold = line(&[4.0]);
        sold.before = Some(2.0);
        for (style, class) in [(Style::Lines, "line"), (Style::Stacked, "area")] {
            let svg = over_time("x", &[1.0], &[sold.clone()], style, &[]).drawn;
            let (y, middle) = (TOP, TOP + (WIDE.height - BOTTOM - TOP) / 2.0);
            let points = format!(
                "class=\"{class} c1\" points=\"{LEFT:.1},{middle:.1} {:.1},{y:.1}",
                WIDTH - RIGHT
            );
            assert!(svg.contains(&points), "{svg}");
        }
        // One alone would be no line.
        let both = Curves::of(&[1.0], &[sold, line(&[1.0])], Style::Lines);
        assert_eq!(both.instants, [1.0]);
    }
}
