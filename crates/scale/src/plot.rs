//! The cost of a tick against the number of boards, as an SVG with both axes logarithmic. By hand: it is text with a few lines in it.

use std::fmt::Write as _;

use crate::report::thousands;

/// One measured tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// Boards.
    pub(crate) x: f64,
    /// Seconds.
    pub(crate) y: f64,
}

/// One line of the plot.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<Point>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 60.0;

/// Two names nearer to each other than this would lie on each other.
const GAP: f64 = 16.0;

/// In the order of the lines; readable on white and on black.
const COLOURS: [&str; 5] = ["#d1495b", "#b0772a", "#2a78d6", "#7a7f87", "#12966b"];
/// So that the lines are told apart without colours too.
const DASHES: [&str; 5] = ["", "2 3", "", "5 4", "9 3"];

const STYLE: &str = "\
<style>
text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #6e7781; }
.title { font-weight: 600; font-size: 15px; }
.grid { stroke: #8c959f; stroke-opacity: 0.35; stroke-width: 1; }
.line { fill: none; stroke-width: 2.2; }
@media (prefers-color-scheme: light) { text { fill: #24292f; } }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }
</style>
";

/// The whole picture, for light and dark pages; the grey that it has without either is readable on both.
///
/// `None` where there is nothing to show.
pub(crate) fn svg(series: &[Series]) -> Option<String> {
    let axes = Axes::around(series)?;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-label=\"CPU time of one idle tick against the number of boards\">\n{STYLE}"
    );
    axes.draw(&mut text);
    let mut labels = Vec::new();
    for (n, series) in series.iter().enumerate() {
        let (colour, dash) = (COLOURS[n % COLOURS.len()], DASHES[n % DASHES.len()]);
        let places: Vec<(f64, f64)> = series.points.iter().map(|point| axes.at(*point)).collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            text,
            "<polyline class=\"line\" stroke=\"{colour}\" stroke-dasharray=\"{dash}\" points=\"{}\"/>",
            path.join(" ")
        );
        for (x, y) in &places {
            let _ = writeln!(
                text,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" fill=\"{colour}\"/>"
            );
        }
        labels.extend(
            places
                .last()
                .map(|(x, y)| (*x + 10.0, *y + 4.0, series.name, colour)),
        );
    }
    apart(&mut labels);
    for (x, y, name, colour) in labels {
        let _ = writeln!(
            text,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" style=\"fill: {colour}; font-weight: 600\">{name}</text>"
        );
    }
    text.push_str("</svg>\n");
    Some(text)
}

/// Moves names down until none lies on another.
fn apart(labels: &mut [(f64, f64, &'static str, &'static str)]) {
    labels.sort_by(|one, other| one.1.total_cmp(&other.1));
    for n in 1..labels.len() {
        labels[n].1 = labels[n].1.max(labels[n - 1].1 + GAP);
    }
}

/// Whole decades around all points.
struct Axes {
    x: (i32, i32),
    y: (i32, i32),
}

impl Axes {
    fn around(series: &[Series]) -> Option<Self> {
        let points = || series.iter().flat_map(|series| &series.points);
        let decades = |of: fn(&Point) -> f64| {
            let logs = || points().map(|point| of(point).log10());
            let low = logs().fold(f64::INFINITY, f64::min).floor() as i32;
            let high = logs().fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
            (low, high.max(low + 1))
        };
        let is_fit = |point: &Point| point.x > 0.0 && point.y > 0.0;
        (points().count() > 0 && points().all(is_fit)).then(|| Self {
            x: decades(|point| point.x),
            y: decades(|point| point.y),
        })
    }

    fn at(&self, point: Point) -> (f64, f64) {
        let part = |value: f64, (low, high): (i32, i32)| {
            (value.log10() - f64::from(low)) / f64::from(high - low)
        };
        (
            LEFT + part(point.x, self.x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - part(point.y, self.y) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn draw(&self, text: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let _ = writeln!(
            text,
            "<text class=\"title\" x=\"{LEFT}\" y=\"24\">CPU time of one idle tick</text>"
        );
        for decade in self.x.0..=self.x.1 {
            let boards = 10_f64.powi(decade);
            let (x, _) = self.at(Point { x: boards, y: 1.0 });
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 20.0,
                thousands(boards)
            );
        }
        for decade in self.y.0..=self.y.1 {
            let (_, y) = self.at(Point {
                x: 1.0,
                y: 10_f64.powi(decade),
            });
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                seconds(decade)
            );
        }
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">boards</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 16.0
        );
        let middle = (TOP + bottom) / 2.0;
        let _ = writeln!(
            text,
            "<text x=\"20\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle:.1})\">CPU per tick</text>"
        );
    }
}

/// A power of ten of seconds.
fn seconds(decade: i32) -> String {
    let (unit, of) = match decade {
        ..-6 => ("ns", -9),
        -6..-3 => ("µs", -6),
        -3..0 => ("ms", -3),
        0.. => ("s", 0),
    };
    format!("{} {unit}", thousands(10_f64.powi(decade - of)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|(x, y)| Point { x: *x, y: *y }).collect();
        Series {
            name: "ours",
            points,
        }
    }

    #[test]
    fn points_lie_where_their_decades_are() {
        let both = [series(&[(10.0, 1e-5), (10_000.0, 1e-1)])];
        let axes = Axes::around(&both).expect("two points");
        assert_eq!((axes.x, axes.y), ((1, 4), (-5, -1)));
        assert_eq!(axes.at(both[0].points[0]), (LEFT, HEIGHT - BOTTOM));
        assert_eq!(axes.at(both[0].points[1]), (WIDTH - RIGHT, TOP));
        let text = svg(&both).expect("a picture");
        assert!(text.contains(">10,000</text>") && text.contains(">100 ms</text>"));
        assert!(text.contains(">10 µs</text>") && text.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let mut labels = [
            (0.0, 100.0, "a", ""),
            (0.0, 96.0, "b", ""),
            (0.0, 300.0, "c", ""),
        ];
        apart(&mut labels);
        assert_eq!(
            labels.map(|label| (label.2, label.1)),
            [("b", 96.0), ("a", 112.0), ("c", 300.0)]
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(svg(&[]).is_none() && svg(&[series(&[(10.0, 0.0)])]).is_none());
    }
}
