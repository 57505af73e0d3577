//! Where values are in a plot, and its axes.

use crate::digits::short;

/// Of wide plots, and of pictures.
pub(super) const WIDTH: f64 = 860.0;
pub(super) const LEFT: f64 = 64.0;
/// Half of the last name of an axis.
pub(super) const RIGHT: f64 = 20.0;
pub(super) const TOP: f64 = 10.0;
pub(super) const BOTTOM: f64 = 28.0;
/// Lines across a plot, about.
const TICKS: f64 = 5.0;

/// How large a plot is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    /// How much of it names of the x axis may take: more makes for fewer.
    pub(super) spread: f64,
}

pub(super) const WIDE: Size = Size {
    width: WIDTH,
    height: 260.0,
    left: LEFT,
    spread: 0.6,
};
pub(super) const NARROW: Size = Size {
    width: 360.0,
    height: 230.0,
    left: 56.0,
    spread: 1.0,
};

/// Where values are in the picture.
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) most_x: f64,
    pub(super) most_y: f64,
}

impl Frame {
    pub(super) fn x(&self, value: f64) -> f64 {
        let Size { left, .. } = self.size;
        left + value / self.most_x * (self.right() - left)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom() - value / self.most_y * self.inner_height()
    }

    pub(super) fn right(&self) -> f64 {
        self.size.width - RIGHT
    }

    pub(super) fn bottom(&self) -> f64 {
        self.size.height - BOTTOM
    }

    pub(super) fn inner_height(&self) -> f64 {
        self.bottom() - TOP
    }
}

pub(super) fn y_axis(svg: &mut String, frame: &Frame, step: f64) {
    let mut value = 0.0;
    while value <= frame.most_y + step / 2.0 {
        grid_line(svg, frame, value, &short(value));
        value += step;
    }
}

pub(super) fn grid_line(svg: &mut String, frame: &Frame, value: f64, name: &str) {
    let (from, to, y) = (frame.size.left, frame.right(), frame.y(value));
    *svg += &format!(
        r#"<line class="grid" x1="{from}" x2="{to}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" text-anchor="end" x="{:.1}" y="{:.1}">{name}</text>"#,
        from - 8.0,
        y + 4.0
    );
}

pub(super) fn x_axis(svg: &mut String, frame: &Frame) {
    let step = step(frame.most_x * frame.size.spread);
    let mut value = 0.0;
    while value <= frame.most_x {
        x_name(svg, frame, value, &format!("{} s", short(value)));
        value += step;
    }
}

pub(super) fn x_name(svg: &mut String, frame: &Frame, value: f64, name: &str) {
    let (x, y) = (frame.x(value), frame.bottom() + 18.0);
    *svg +=
        &format!(r#"<text class="tick" text-anchor="middle" x="{x:.1}" y="{y:.1}">{name}</text>"#);
}

/// 1, 2 or 5 times a power of ten, so that about [`TICKS`] of it make `most`.
pub(super) fn step(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let rough = most / TICKS;
    let power = 10.0_f64.powf(rough.log10().floor());
    let by = [1.0, 2.0, 5.0].into_iter().find(|by| by * power >= rough);
    by.unwrap_or(10.0) * power
}

pub(super) fn point(frame: &Frame, at: f64, value: f64) -> String {
    format!("{:.1},{:.1}", frame.x(at), frame.y(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let steps: Vec<_> = [0.0, 1.0, 9.0, 40.0, 12_000.0]
            .into_iter()
            .map(step)
            .collect();
        assert_eq!(steps, [1.0, 0.2, 2.0, 10.0, 5_000.0]);
    }
}
