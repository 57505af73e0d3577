//! Load client, baselines and benchmarks.
