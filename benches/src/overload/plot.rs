//! Line charts as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 50.0;
const TOP: f64 = 40.0;
const PANEL: f64 = LEFT + WIDTH + 20.0;
const COLOURS: [&str; 4] = ["#0b6e4f", "#c1440e", "#3465a4", "#8a6d3b"];

/// One chart: a line for each series over the same marks.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What the lowest line and the highest stand for.
    pub(crate) most: f64,
    /// Where horizontal lines are drawn.
    pub(crate) ticks: Vec<f64>,
    /// A line that a figure should reach or keep below, if any.
    pub(crate) aim: Option<f64>,
    pub(crate) series: Vec<Vec<f64>>,
}

/// The charts side by side, and under them the names of the series.
pub(crate) fn draw(charts: &[Chart], marks: &[String], names: &[&str]) -> String {
    let width = PANEL * charts.len() as f64 + 10.0;
    let height = TOP + HEIGHT + 55.0 + 18.0 * names.len() as f64;
    let mut svg = String::new();
    line(
        &mut svg,
        &format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
        ),
    );
    line(
        &mut svg,
        "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
    );
    for (number, chart) in charts.iter().enumerate() {
        panel(&mut svg, chart, marks, PANEL * number as f64 + LEFT);
    }
    for (number, name) in names.iter().enumerate() {
        let y = TOP + HEIGHT + 50.0 + 18.0 * number as f64;
        let colour = COLOURS[number % COLOURS.len()];
        line(
            &mut svg,
            &format!("<path d=\"M{LEFT} {y}h30\" stroke=\"{colour}\" stroke-width=\"3\"/>"),
        );
        text(&mut svg, LEFT + 38.0, y + 4.0, "start", name);
    }
    line(&mut svg, "</svg>");
    svg
}

fn panel(svg: &mut String, chart: &Chart, marks: &[String], left: f64) {
    let y = |value: f64| TOP + HEIGHT * (1.0 - (value / chart.most).clamp(0.0, 1.0));
    let step = WIDTH / marks.len().max(1) as f64;
    let x = |mark: usize| left + step * (mark as f64 + 0.5);
    text(svg, left + WIDTH / 2.0, TOP - 15.0, "middle", chart.title);
    for tick in &chart.ticks {
        let height = y(*tick);
        line(
            svg,
            &format!("<path d=\"M{left} {height:.1}h{WIDTH}\" stroke=\"#dddddd\"/>"),
        );
        text(svg, left - 6.0, height + 4.0, "end", &tick.to_string());
    }
    if let Some(aim) = chart.aim {
        line(
            svg,
            &format!(
                "<path d=\"M{left} {:.1}h{WIDTH}\" stroke=\"#333333\" stroke-dasharray=\"4 4\"/>",
                y(aim)
            ),
        );
    }
    for (mark, name) in marks.iter().enumerate() {
        text(svg, x(mark), TOP + HEIGHT + 18.0, "middle", name);
    }
    for (number, values) in chart.series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mut points = String::new();
        for (mark, value) in values.iter().enumerate() {
            let (x, y) = (x(mark), y(*value));
            // Writing to a string never fails.
            let _ = write!(points, "{x:.1},{y:.1} ");
            line(
                svg,
                &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"),
            );
        }
        line(
            svg,
            &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.trim_end()
            ),
        );
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    line(
        svg,
        &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\">{words}</text>"
        ),
    );
}

fn line(svg: &mut String, words: &str) {
    svg.push_str(words);
    svg.push('\n');
}
