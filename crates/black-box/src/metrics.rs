//! What a process tells Prometheus.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};

use crate::http::{Connection, Head};

/// A line of what a process tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric; of a histogram with `_bucket`, `_sum` or `_count`.
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// What a label says; empty if there is no such label.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All that the process tells whose metrics are read at this address.
///
/// # Errors
/// When it does not answer, or with something else than the text format 0.0.4.
pub async fn scrape(address: SocketAddr) -> anyhow::Result<Vec<Sample>> {
    let scraping = async {
        let mut request = Vec::new();
        Head::new("GET", "/metrics").write(&mut request, "");
        let mut connection = Connection::open(address).await?;
        let answer = connection.exchange(&request).await?;
        ensure!(answer.status == 200, "answered {}", answer.status);
        parse(std::str::from_utf8(answer.body)?)
    };
    let scraped = scraping.await;
    scraped.with_context(|| format!("reading http://{address}/metrics"))
}

fn parse(text: &str) -> anyhow::Result<Vec<Sample>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| sample(line).with_context(|| format!("no sample: {line}")));
    samples.collect()
}

fn sample(line: &str) -> anyhow::Result<Sample> {
    let (series, value) = line.rsplit_once(' ').context("it has no value")?;
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => {
            let labels = labels.strip_suffix('}');
            (name, labels.context("its labels have no end")?)
        }
    };
    Ok(Sample {
        name: name.to_owned(),
        labels: read_labels(labels)?,
        value: value.parse()?,
    })
}

/// No value of this service has anything that would be escaped.
fn read_labels(mut rest: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let label = rest.split_once("=\"");
        let label = label.and_then(|(name, rest)| Some((name, rest.split_once('"')?)));
        let Some((name, (value, more))) = label else {
            bail!("a label is not name=\"value\"");
        };
        ensure!(!value.contains('\\'), "a value is escaped");
        labels.insert(name.to_owned(), value.to_owned());
        rest = more.strip_prefix(',').unwrap_or(more);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP a_total What\n# TYPE a_total counter\n\
            a_total{x=\"1 {\",y=\"\"} 7\na_total{x=\"2\",y=\"z\"} 0.5\nb -3e2\n";
        let samples = parse(text).unwrap();
        let read = samples
            .iter()
            .map(|it| (&*it.name, it.label("x"), it.value));
        let expected = [
            ("a_total", "1 {", 7.0),
            ("a_total", "2", 0.5),
            ("b", "", -300.0),
        ];
        assert!(read.eq(expected), "{samples:?}");
        assert_eq!(samples[1].label("y"), "z");
    }

    #[test]
    fn what_is_no_sample_is_told() {
        for wrong in ["a", "a{x=\"1\" 2", "a{x} 2", "a{x=\"\\n\"} 2", "a two"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
