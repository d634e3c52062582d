//! What a scrape says, and requests that do what a test wants.

use std::collections::BTreeMap;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub(crate) fn recorder() -> (PrometheusRecorder, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

/// Every series of a scrape and its value.
#[derive(Debug)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    pub(crate) fn of(handle: &PrometheusHandle) -> Self {
        let text = handle.render();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let parsed = series.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(parsed.collect())
    }

    /// The sum of all series of a name that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|(_, value)| value).sum()
    }

    /// The sum as a count.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are whole numbers"
    )]
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels) as u64
    }

    fn matching<'a>(
        &'a self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> impl Iterator<Item = (&'a str, f64)> {
        let wanted: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let name = name.to_owned();
        self.0.iter().filter_map(move |(series, value)| {
            let (own, labels) = series.split_once('{').unwrap_or((series, ""));
            let has = own == name && wanted.iter().all(|label| labels.contains(label));
            has.then_some((series.as_str(), *value))
        })
    }

    /// The names of all series of a metric.
    pub(crate) fn series(&self, name: &str) -> Vec<&str> {
        self.matching(name, &[]).map(|(series, _)| series).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
