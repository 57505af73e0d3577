//! Upper ends of histograms' buckets: five per factor of ten or fewer, because each is a series.

use prometheus_client::metrics::histogram::Histogram;

/// What a broker, a database or a handler takes: 0.5 ms to 10 s.
pub(crate) fn of_calls() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
    ])
}

/// What a buyer waits for: 5 ms to ten minutes.
pub(crate) fn of_waits() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
        600.0,
    ])
}

/// How many there are of something: 1 to 1,000.
pub(crate) fn of_counts() -> Histogram {
    Histogram::new([
        1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0,
    ])
}
