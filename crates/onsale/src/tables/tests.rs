//! Small results in a folder, and the document that comes of them.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::report::tests::{provenance, report};

/// A document with a place for every table, and prose around them.
fn empty_document() -> String {
    let markers = Source::all_markers().into_iter();
    let places = markers.map(|name| format!("About {name}.\n<!-- {name} -->\n<!-- /{name} -->\n"));
    places.collect()
}

struct Folder(TempDir);

impl Folder {
    fn of(results: &[(&str, &Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, result) in results {
            fs::write(folder.path().join(name), result.to_string()).unwrap();
        }
        let folder = Self(folder);
        fs::write(folder.document(), empty_document()).unwrap();
        folder
    }

    fn document(&self) -> PathBuf {
        self.0.path().join("BENCHMARKS.md")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.document()).unwrap()
    }

    /// What it says when something is wrong.
    fn write(&self, only: &[Source]) -> Result<(), String> {
        let args = TablesArgs {
            from: self.0.path().to_owned(),
            into: self.document(),
            only: only.to_vec(),
        };
        run(args).map_err(|error| format!("{error:#}"))
    }
}

fn turn(per_second: f64) -> Value {
    json!({
        "accepted_per_second": per_second, "p50_micros": 1_500, "p99_micros": 12_345,
        "cpu_micros_per_order": {"client": 4.26, "service": 20.0},
    })
}

fn ratio(median: f64) -> Value {
    json!({"median": median, "lowest": median - 0.125, "highest": median + 0.125})
}

fn memory() -> Value {
    json!({
        "setting": provenance(),
        "levels": [{
            "connections": 64, "service": turn(41_234.0), "bare": turn(55_555.0),
            "ratio": ratio(0.75), "accepted": 1, "refused": 0, "peak_resident_mib": 1,
        }],
        "missed": [],
    })
}

fn decided(per_second: f64) -> Value {
    json!({"orders": 200_000, "batches": 200, "seconds": 4.0, "per_second": per_second})
}

fn naive(per_second: f64) -> Value {
    json!({
        "connections": 16, "tickets": 9_000, "per_second": per_second,
        "cpu_micros_per_ticket": {},
    })
}

fn sale(after: f64, refused_by_gate: u64) -> Value {
    json!({
        "orders": 100_000, "users": 50_000, "seats": 10_000, "seed": 7, "connections": 512,
        "opening_seconds": 0.1, "answers_per_second": 40_000.0,
        "refused_by_gate": refused_by_gate, "accept_p50_micros": 9_000,
        "accept_p99_micros": 20_000, "decided_after_seconds": after,
        "wait": {"p50_micros": 1, "p99_micros": 2}, "confirmed": 10_000, "sold_out": 1,
        "limit_exceeded": 0, "cpu_micros_per_order": {}, "peak_resident_mib": {"api": 30},
    })
}

fn recipe(answers_per_second: f64, after: f64) -> Value {
    json!({
        "answers_per_second": answers_per_second, "p50_micros": 1, "p99_micros": 2,
        "confirmed": 10_000, "stored_after_seconds": after, "cpu_micros_per_order": {},
    })
}

/// All that the comparison needs, and no more.
fn services() -> Value {
    json!({
        "setting": provenance(),
        "accept_durable": {
            "connections": 512, "service": turn(40_000.0), "bare": turn(90_000.0),
            "publish_each": turn(20_000.0), "beside_bare": ratio(0.444),
            "beside_publish_each": ratio(2.0), "accepted": 5_000, "decided": decided(1.0),
            "deciding_cpu_micros_per_order": {}, "while_deciding": turn(15_000.0),
        },
        "decide": {
            "accepted_per_second": 1.0, "accept_cpu_micros_per_order": {},
            "decided": decided(52_000.0), "cpu_micros_per_order": {"tickets worker": 4.0},
            "naive": [naive(3_700.0), naive(3_800.0)], "beside_naive": 13.68,
        },
        "flash_sale": {"gate": sale(1.5, 70_000), "open_gate": sale(3.2, 0)},
        "recipes": {
            "orders": 100_000, "seats": 10_000, "update_each": recipe(5_260.0, 19.2),
            "redis_counter": recipe(80_000.0, 1.28), "redis_answered": 2_000,
            "redis_lost": 1_999,
        },
        "missed": [],
    })
}

#[test]
fn a_table_is_as_it_should_be_and_the_prose_stays() {
    let folder = Folder::of(&[("memory.json", &memory())]);
    folder.write(&[Source::Memory]).unwrap();
    let place = "\
<!-- accept-memory -->

| connections |  | orders/s | of the bare handler | p50 ms | p99 ms | CPU µs/order |
|---|---|---:|---:|---:|---:|---|
| 64 | service | 41,200 | 0.75 (0.62 to 0.88) | 1.50 | 12.3 | client 4.3, service 20.0 |
| 64 | bare | 55,600 |  | 1.50 | 12.3 | client 4.3, service 20.0 |

<details><summary>2026-01-02, commit <code>0123456-dirty</code>, <code>onsale run --scenario &lt;x&gt;</code></summary>

- machine: Some CPU, 2 cores, 4,096 MiB, Linux 6
- client: onsale 1

</details>

<!-- /accept-memory -->
";
    let expected =
        empty_document().replace("<!-- accept-memory -->\n<!-- /accept-memory -->\n", place);
    assert_eq!(folder.text(), expected);
    folder.write(&[Source::Memory]).unwrap();
    assert_eq!(folder.text(), expected);
}

#[test]
fn ways_of_selling_are_compared_within_their_measurement() {
    let folder = Folder::of(&[("services.json", &services())]);
    folder.write(&[Source::Services]).unwrap();
    let text = folder.text();
    for row in [
        "| **this engine**, every order decided | 40,000 | 52,000 | 3.20 s | – | nothing: ",
        "| **this engine**, sold-out gate as by default | – | – | 1.50 s | – |",
        "| one transaction per ticket | 3,800 | 3,800 | – | 13.7 times its verdicts/s |",
        "| guarded `UPDATE` without a queue | 5,260 | 5,210 | 19.20 s \
         | 6.00 times its pace, 12.8 with the gate |",
        "| Redis counter in front of the store | none (80,000 in memory) | 78,100 | 1.28 s \
         | 0.40 times its pace, 0.85 with the gate | answered orders that are not stored yet, 1,999 of 2,000 ",
        "| one publish per order | 20,000 | – | – | 2.00 times its orders/s |",
        "| bare handler, the ceiling | none (90,000 stored nowhere) | – | – \
         | 0.44 of its orders/s |",
    ] {
        assert!(text.contains(row), "{row}\nis not in\n{text}");
    }
    // What was not measured stays as it was.
    assert!(text.contains("<!-- growth -->\n<!-- /growth -->\n"));
    let picture = fs::read_to_string(folder.document().with_file_name("benchmarks.svg")).unwrap();
    assert_eq!(picture.matches("class=\"bar ").count(), 9, "{picture}");
    assert!(picture.contains(">52,000<") && picture.contains(">19.20 s<"));
}

#[test]
fn faults_have_a_table_of_their_own_and_what_is_new_is_no_fault() {
    let mut result = serde_json::to_value(report()).unwrap();
    result["something_new"] = json!(1);
    let mut chaos = result.clone();
    let fault = json!({
        "kind": "worker_killed", "target": "worker 1", "at_seconds": 1.0, "lasted_seconds": 2.0,
        "without_verdict_seconds": 1.5, "show_without_verdict_seconds": 1.75,
        "without_acceptance_seconds": 0.25
    });
    chaos["faults"] = json!([fault, fault]);
    let folder = Folder::of(&[("chaos.json", &chaos), ("flash-sale.json", &result)]);
    let only = [Source::Chaos, Source::FlashSale];
    // The scenario of this report misses its limit.
    let told = folder.write(&only).unwrap_err();
    let missed = "flash-sale: all decided after 2.00 s, not 1.7 s\n\
                  flash-sale: tickets api: ended by itself\n\
                  chaos: all decided after 2.00 s, not 1.7 s\n\
                  chaos: tickets api: ended by itself";
    assert_eq!(told, missed);
    let text = folder.text();
    for row in [
        "| violations | none of 9 kinds |",
        "| **missed** | all decided after 2.00 s, not 1.7 s; tickets api: ended by itself |",
        "| verdicts | 2; 1 of 1 seats sold |",
        "| last verdict after | 2.00 s; 1 verdicts/s |",
        "| CPU µs per order | client 250.0 |",
        "| order answer | 2 | 4.00 | 4.00 | 4.00 | 4.00 |",
    ] {
        assert_eq!(text.matches(row).count(), 2, "{row}\nis not in\n{text}");
    }
    let sale = folder
        .document()
        .with_file_name("benchmarks-flash-sale.svg");
    let sale = fs::read_to_string(sale).unwrap();
    for plot in ["Orders per second", "Backlog", "Seats"] {
        assert!(sale.contains(plot), "{sale}");
    }
    let row = "| worker killed | 2 | 1.5 (1.5) | 1.8 (1.8) | 0.2 (0.2) |";
    assert_eq!(text.matches(row).count(), 1, "{row}\nis not in\n{text}");
}

#[test]
fn a_scenario_is_read_as_it_was_written() {
    let mut written = serde_json::to_value(report()).unwrap();
    let read: Report = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
    // All at one instant.
    written["scenario"]["peak_rate"] = Value::Null;
    let read: Report = serde_json::from_value(written).unwrap();
    assert!(read.scenario.peak_rate.is_infinite());
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_written() {
    let mut missed = services();
    missed["missed"] = json!(["decide: too slow"]);
    let mut malformed = memory();
    malformed["levels"][0]["ratio"] = json!("none");
    let folder = Folder::of(&[("services.json", &missed), ("memory.json", &malformed)]);
    let told = folder.write(&[]).unwrap_err();
    let path = |name: &str| folder.0.path().join(name).display().to_string();
    let lines: Vec<_> = told.lines().collect();
    let [memory, services, flash_sale, open_gate] = lines[..] else {
        panic!("{told}");
    };
    assert!(
        memory.starts_with(&path("memory.json")) && memory.contains("expected struct Ratio"),
        "{memory}"
    );
    assert_eq!(services, "services: decide: too slow");
    assert!(
        flash_sale.contains(&path("flash-sale.json")),
        "{flash_sale}"
    );
    assert!(
        open_gate.contains(&path("flash-sale-open-gate.json")),
        "{open_gate}"
    );
    let text = folder.text();
    assert!(text.contains("one transaction per ticket"), "{text}");
    assert!(text.contains("<!-- accept-memory -->\n<!-- /accept-memory -->\n"));
}

#[test]
fn a_document_that_is_wrong_is_not_touched() {
    let folder = Folder::of(&[("memory.json", &memory())]);
    let wrong = "<!-- nonsense -->\n<!-- /nonsense -->\n";
    fs::write(folder.document(), wrong).unwrap();
    let told = folder.write(&[Source::Memory]).unwrap_err();
    let document = folder.document().display().to_string();
    assert!(
        told.contains(&document) && told.contains("no table for <!-- nonsense -->"),
        "{told}"
    );
    assert_eq!(folder.text(), wrong);
}

/// Whatever is measured, the document of this repository can take it.
#[test]
fn the_document_has_a_place_for_every_table() {
    let document = include_str!("../../../../docs/BENCHMARKS.md");
    let known = Source::all_markers();
    let tables = known.iter().map(|name| (*name, String::new())).collect();
    replaced(document, &tables, &known).unwrap();
}

#[test]
fn files_are_called_as_the_option_says() {
    for source in Source::value_variants() {
        let option = source.to_possible_value().unwrap();
        assert_eq!(option.get_name(), source.name());
    }
}
