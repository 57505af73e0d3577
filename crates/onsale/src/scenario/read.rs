//! From TOML to a scenario.

use std::path::Path;

use anyhow::{Context, anyhow};
use fields::{Faults, Fields, Value, all, flag, number, owned, positive, whole, word};
use toml::Table;

use super::arrivals::{Phase, Shape, Spacing};
use super::faults::{FaultKind, FaultTerms, kinds_of_faults};
use super::sale::{
    Client, Holds, Limits, Popularity, Readers, Retries, Scenario, Service, Shows, Users,
};
use super::silences::SilenceLimits;

/// Orders of a run: what the client remembers of each fits into its memory.
const MAX_ORDERS: u64 = 10_000_000;
const MAX_SECONDS: f64 = 86_400.0;
const MAX_RATE: f64 = 1_000_000.0;
const MAX_SEATS: u32 = 10_000_000;
const MAX_SHOWS: u32 = 100_000;
const MAX_USERS: u32 = 10_000_000;
/// Far above what any service takes per order.
const MAX_QUANTITY: u32 = 1_000;
const MAX_CONNECTIONS: usize = 20_000;
const MAX_MS: u64 = 3_600_000;
const MAX_FAULTS: u32 = 10_000;
/// Shares are written with a few digits.
const TOLERANCE: f64 = 1e-6;

impl Scenario {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> anyhow::Result<(Self, String)> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the scenario {}", path.display()))?;
        let scenario =
            Self::parse(&text).with_context(|| format!("scenario {}", path.display()))?;
        Ok((scenario, text))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every fault of it, one per line.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        // Tables by name: a seed tells the same sale whatever the sequence of the lines.
        let document: Value<'_> = text.parse::<Table>()?.try_into()?;
        let faults = Faults::new(usize::MAX, fields::dotted);
        fields::read(document, faults, scenario).map_err(|faults| {
            let told: Vec<_> = faults.told.iter().map(ToString::to_string).collect();
            anyhow!("{}", told.join("\n"))
        })
    }
}

fn scenario(file: &mut Fields<'_, '_>) -> Option<Scenario> {
    let about = file.required("about", owned);
    let arrivals = file.section("arrivals", arrivals);
    let shows = file.section("shows", shows);
    let users = file.section("users", users);
    let quantities = file.section("quantities", quantities);
    let retries = file.section("retries", retries);
    let readers = file.section("readers", readers);
    let hold_seconds = shows.as_ref().map(|shows| shows.hold_seconds);
    let holds = file.section("holds", |fields| holds(fields, hold_seconds));
    let client = file.section("client", client);
    let service = file.section("service", service);
    let seconds = arrivals
        .as_ref()
        .map(|(_, phases)| phases.iter().map(|phase| phase.seconds).sum());
    let faults = file.section("faults", |fields| fault_terms(fields, seconds));
    let limits = file.section("limits", limits);
    let (spacing, arrivals) = arrivals?;
    Some(Scenario {
        about: about?,
        arrivals,
        spacing,
        shows: shows?,
        users: users?,
        quantities: quantities?,
        retries: retries?,
        holds: holds?,
        readers: readers?,
        client: client?,
        service: service?,
        faults: faults?,
        limits: limits?,
    })
}

fn arrivals(fields: &mut Fields<'_, '_>) -> Option<(Spacing, Vec<Phase>)> {
    let spacings = word([("random", Spacing::Random), ("even", Spacing::Even)]);
    let spacing = fields.or("spacing", Spacing::Random, spacings);
    let phases = fields.items("phases", |item| item.fields(phase));
    if let Some(phases) = &phases {
        let orders: u64 = phases.iter().map(|phase| phase.orders).sum();
        if phases.is_empty() {
            fields.fault("phases", "is missing");
        } else if orders > MAX_ORDERS {
            let what = format_args!("{orders} orders are more than {MAX_ORDERS}");
            fields.fault("phases", what);
        }
    }
    Some((spacing?, phases?))
}

fn phase(fields: &mut Fields<'_, '_>) -> Option<Phase> {
    let shapes = word(["flat", "ramp", "spike"].map(|shape| (shape, shape)));
    let Some(shape) = fields.required("shape", shapes) else {
        // What the others should be depends on it.
        fields.each(|_, _| Some(()));
        return None;
    };
    let orders = whole(1..=MAX_ORDERS);
    let seconds = number(0.0..=MAX_SECONDS);
    if shape == "spike" {
        let orders = fields.required("orders", orders);
        let seconds = fields.required("seconds", seconds);
        let half_life = number(0.001..=MAX_SECONDS);
        let half_life_seconds = fields.required("half_life_seconds", half_life);
        return Some(Phase {
            shape: Shape::Spike {
                half_life_seconds: half_life_seconds?,
            },
            orders: orders?,
            seconds: seconds?,
        });
    }
    let orders = fields.optional("orders", orders).flatten();
    let seconds = fields.optional("seconds", seconds).flatten();
    if shape == "flat" {
        let rate = positive(MAX_RATE);
        let rate = fields.optional("rate", rate).flatten();
        return by_rate(fields, Shape::Flat, rate, orders, seconds);
    }
    let from_rate = fields.required("from_rate", number(0.0..=MAX_RATE));
    let to_rate = fields.required("to_rate", number(0.0..=MAX_RATE));
    let (from_rate, to_rate) = from_rate.zip(to_rate)?;
    if from_rate + to_rate == 0.0 {
        fields.fault("to_rate", "must not be 0 if from_rate is");
        return None;
    }
    let ramp = Shape::Ramp { from_rate, to_rate };
    let mean = f64::midpoint(from_rate, to_rate);
    by_rate(fields, ramp, Some(mean), orders, seconds)
}

/// Any two of the three tell the third.
fn by_rate(
    fields: &mut Fields<'_, '_>,
    shape: Shape,
    rate: Option<f64>,
    orders: Option<u64>,
    seconds: Option<f64>,
) -> Option<Phase> {
    let names = match shape {
        Shape::Ramp { .. } => "orders or seconds beside from_rate and to_rate",
        _ => "two of rate, orders and seconds",
    };
    let (orders, seconds) = match (rate, orders, seconds) {
        (Some(rate), Some(orders), None) => (orders, orders as f64 / rate),
        (Some(rate), None, Some(seconds)) => (rounded(rate * seconds), seconds),
        (None, Some(orders), Some(seconds)) => (orders, seconds),
        _ => {
            fields.fault_of_all(format_args!("needs {names}"));
            return None;
        }
    };
    if orders == 0 || orders > MAX_ORDERS || seconds > MAX_SECONDS || seconds == 0.0 {
        fields.fault_of_all(format_args!(
            "{orders} orders in {seconds} seconds are too few or too many"
        ));
        return None;
    }
    Some(Phase {
        shape,
        orders,
        seconds,
    })
}

/// The nearest whole number that is not negative.
fn rounded(number: f64) -> u64 {
    let whole = std::time::Duration::try_from_secs_f64(number.round());
    whole.map_or(0, |whole| whole.as_secs())
}

fn shows(fields: &mut Fields<'_, '_>) -> Option<Shows> {
    let popularities = word(["uniform", "hot", "zipf"].map(|popularity| (popularity, popularity)));
    all!(Shows {
        number: fields.or("number", 1, whole(1..=MAX_SHOWS)),
        seats: fields.required("seats", whole(0..=MAX_SEATS)),
        hold_seconds: fields.or("hold_seconds", 0, whole(0..=604_800)),
        max_per_user: fields.or("max_per_user", 10, whole(1..=MAX_SEATS)),
        popularity: match fields.or("popularity", "uniform", popularities)? {
            "hot" => all!(Popularity::Hot {
                share: fields.required("hot_share", number(0.0..=1.0)),
            }),
            "zipf" => all!(Popularity::Zipf {
                exponent: fields.required("zipf_exponent", number(0.0..=10.0)),
            }),
            _ => Some(Popularity::Uniform),
        },
    })
}

fn users(fields: &mut Fields<'_, '_>) -> Option<Users> {
    all!(Users {
        number: fields.required("number", whole(1..=MAX_USERS)),
        high_priority: share(fields, "high_priority"),
    })
}

/// A part of 1, 0 where it is missing.
fn share(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<f64> {
    fields.or(name, 0.0, number(0.0..=1.0))
}

/// Seats by weight; one seat unless given.
fn quantities(fields: &mut Fields<'_, '_>) -> Option<Vec<(u32, f64)>> {
    if fields.is_empty() {
        return Some(vec![(1, 1.0)]);
    }
    let expected = format!("a number of seats from 1 to {MAX_QUANTITY}");
    by_name(fields, &expected, weight, |name| {
        let seats = name.parse().ok();
        seats.filter(|seats| (1..=MAX_QUANTITY).contains(seats))
    })
}

/// What each of the names stands for, with its number.
fn by_name<T>(
    fields: &mut Fields<'_, '_>,
    expected: &str,
    number: impl Fn(&Value<'_>) -> Result<f64, String>,
    named: impl Fn(&str) -> Option<T>,
) -> Option<Vec<(T, f64)>> {
    fields.each(|name, mut given| {
        let Some(named) = named(name) else {
            given.fault(format_args!("is not {expected}"));
            return None;
        };
        Some((named, given.read(&number)?))
    })
}

/// Kinds of faults, like [`by_name`].
fn by_kind(
    fields: &mut Fields<'_, '_>,
    number: impl Fn(&Value<'_>) -> Result<f64, String>,
) -> Option<Vec<(FaultKind, f64)>> {
    let known = kinds_of_faults().collect::<Vec<_>>().join(", ");
    by_name(fields, &format!("one of {known}"), number, |name| {
        name.parse().ok()
    })
}

fn weight(value: &Value<'_>) -> Result<f64, String> {
    let weight = value.as_number();
    let weight = weight.filter(|weight| *weight > 0.0 && weight.is_finite());
    weight.ok_or_else(|| "needs a weight above 0".to_owned())
}

fn retries(fields: &mut Fields<'_, '_>) -> Option<Retries> {
    all!(Retries {
        keyed: share(fields, "keyed"),
        repeated: share(fields, "repeated"),
        timeout_ms: fields.or("timeout_ms", 2_000, whole(1..=MAX_MS)),
        pause_ms: fields.or("pause_ms", 500, whole(0..=MAX_MS)),
        at_most: fields.or("at_most", 0, whole(0..=100)),
    })
}

/// Two whole numbers, the second not below the first.
fn span(value: &Value<'_>) -> Result<(u64, u64), String> {
    let ends: Vec<_> = match value {
        Value::List(ends) => ends.iter().map(Value::as_whole).collect(),
        _ => Vec::new(),
    };
    match ends[..] {
        [Some(from), Some(to)] if from <= to && to <= MAX_MS => Ok((from, to)),
        _ => Err(format!(
            "must be [from, to] in whole numbers from 0 to {MAX_MS}"
        )),
    }
}

fn holds(fields: &mut Fields<'_, '_>, hold_seconds: Option<u32>) -> Option<Holds> {
    let is_given = !fields.is_empty();
    let holds = all!(Holds {
        confirm: share(fields, "confirm"),
        cancel: share(fields, "cancel"),
        lapse: share(fields, "lapse"),
        think_ms: fields.or("think_ms", (0, 0), span),
    })?;
    let shares = holds.confirm + holds.cancel + holds.lapse;
    match hold_seconds {
        Some(0) if is_given => {
            fields.fault_of_all("nothing is held with shows.hold_seconds = 0");
        }
        Some(1..) if (shares - 1.0).abs() > TOLERANCE => {
            fields.fault_of_all("confirm, cancel and lapse must add up to 1");
        }
        _ => {}
    }
    Some(holds)
}

fn readers(fields: &mut Fields<'_, '_>) -> Option<Readers> {
    let connections = whole(1..=MAX_CONNECTIONS);
    let readers = all!(Readers {
        poll: share(fields, "poll"),
        poll_interval_ms: fields.or("poll_interval_ms", 1_000, whole(1..=MAX_MS)),
        websocket: share(fields, "websocket"),
        websocket_connections: fields.or("websocket_connections", 16, connections),
    })?;
    if readers.poll + readers.websocket > 1.0 + TOLERANCE {
        fields.fault_of_all("poll and websocket must not add up to more than 1");
    }
    Some(readers)
}

fn client(fields: &mut Fields<'_, '_>) -> Option<Client> {
    let connections = fields.or("connections", 64, whole(1..=MAX_CONNECTIONS));
    let least = connections.unwrap_or(1);
    let most = fields.or(
        "max_connections",
        least.max(512),
        whole(1..=MAX_CONNECTIONS),
    );
    if most.is_some_and(|most| most < least) {
        fields.fault("max_connections", "must not be below connections");
    }
    all!(Client {
        connections: connections,
        max_connections: most,
        timeout_ms: fields.or("timeout_ms", 10_000, whole(1..=MAX_MS)),
    })
}

fn service(fields: &mut Fields<'_, '_>) -> Option<Service> {
    all!(Service {
        workers: fields.or("workers", 1, whole(1..=64)),
        store_latency_ms: fields.or("store_latency_ms", 0, whole(0..=10_000)),
        settings: fields.section("settings", |fields| {
            let sections = fields.each(|section, values| {
                values.fields(|fields| {
                    fields.each(|name, value| {
                        Some((format!("{section}.{name}"), value.value().to_string()))
                    })
                })
            });
            Some(sections?.into_iter().flatten().collect())
        }),
    })
}

/// Faults that happen while orders come, for so many seconds.
fn fault_terms(fields: &mut Fields<'_, '_>, seconds: Option<f64>) -> Option<Option<FaultTerms>> {
    if fields.is_empty() {
        return Some(None);
    }
    let number = fields.required("number", whole(1..=MAX_FAULTS));
    let lasts_ms = fields.or("lasts_ms", (1_000, 5_000), span);
    let down_ms = fields.or("down_ms", (0, 1_000), span);
    let quiet_ms = fields.or("quiet_ms", 1_000, whole(0..=MAX_MS));
    let overlapping = fields.or("overlapping", false, flag);
    let terms = fields.section("kinds", |kinds| {
        if kinds.is_empty() {
            kinds.fault_of_all("is missing");
            return None;
        }
        let terms = all!(FaultTerms {
            number: number,
            kinds: by_kind(kinds, weight),
            lasts_ms: lasts_ms,
            down_ms: down_ms,
            quiet_ms: quiet_ms,
            overlapping: overlapping,
        })?;
        for (kind, count) in terms.counts() {
            if count == 0 {
                let number = terms.number;
                let what = format!("never happens among {number} faults of these weights");
                kinds.fault(kind.name(), what);
            }
        }
        Some(terms)
    })?;
    let longest = std::time::Duration::from_millis(terms.longest_ms()).as_secs_f64();
    if let Some(seconds) = seconds.filter(|seconds| longest > *seconds) {
        fields.fault_of_all(format_args!(
            "they take up to {longest:.1} s, and orders come for {seconds:.1} s"
        ));
    }
    Some(Some(terms))
}

fn limits(fields: &mut Fields<'_, '_>) -> Option<Limits> {
    let seconds = |fields: &mut Fields<'_, '_>| by_kind(fields, number(0.0..=MAX_SECONDS));
    all!(Limits {
        decided_within_seconds: fields
            .optional("decided_within_seconds", number(0.001..=MAX_SECONDS)),
        answered_at_least: share(fields, "answered_at_least"),
        patience_seconds: fields.or("patience_seconds", 60, whole(1..=3_600)),
        run_seconds: fields.or("run_seconds", 900, whole(1..=86_400)),
        silences: all!(SilenceLimits {
            show_without_verdict: fields.section("show_without_verdict_seconds", seconds),
            accepted_again: fields.section("accepted_again_seconds", seconds),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        about = "x"
        [[arrivals.phases]]
        shape = "flat"
        rate = 100
        seconds = 2
        [shows]
        seats = 10
        [users]
        number = 5
    "#;

    fn faults(text: &str) -> Vec<String> {
        let told = Scenario::parse(text).unwrap_err().to_string();
        told.lines().map(str::to_owned).collect()
    }

    /// The small scenario with more lines, before its first table.
    fn with(lines: &str) -> Vec<String> {
        faults(&format!("{SMALL}\n{lines}"))
    }

    #[test]
    fn what_is_left_out_has_a_value() {
        let scenario = Scenario::parse(SMALL).unwrap();
        assert_eq!((scenario.orders(), scenario.seconds()), (200, 2.0));
        assert_eq!(scenario.quantities, [(1, 1.0)]);
        assert_eq!(scenario.shows.popularity, Popularity::Uniform);
        assert_eq!(scenario.client.max_connections, 512);
        assert_eq!(scenario.retries.at_most, 0);
    }

    #[test]
    #[expect(
        clippy::too_many_lines,
        reason = "one text with every fault, and all that is said of it"
    )]
    fn every_fault_is_named_at_once() {
        let found = faults(
            r#"
            color = "red"
            [arrivals]
            spacing = "odd"
            [[arrivals.phases]]
            shape = "flat"
            rate = -1
            seconds = 2
            [[arrivals.phases]]
            shape = "ramp"
            from_rate = 0
            [[arrivals.phases]]
            shape = "spike"
            orders = 5
            rates = 7
            [shows]
            seats = 1.5
            popularity = "zipf"
            [users]
            high_priority = 2
            [quantities]
            0 = 1
            3 = -1
            [retries]
            keyed = "half"
            [readers]
            poll = 0.9
            websocket = 0.9
            [client]
            connections = 10
            max_connections = 5
            [service]
            settings = { queue = 5 }
            [faults]
            number = 0
            lasts_ms = [2, 1]
            kinds = { worker_killed = 0, moon = 1 }
            [limits]
            run_seconds = 0
            show_without_verdict_seconds = { worker_killed = -1, moon = 1 }
            "#,
        );
        let expected = [
            "about: is missing",
            "arrivals.spacing: must be one of: random, even",
            "arrivals.phases[0].rate: must be a number above 0",
            "arrivals.phases[0]: needs two of rate, orders and seconds",
            "arrivals.phases[1].to_rate: is missing",
            "arrivals.phases[2].half_life_seconds: is missing",
            "arrivals.phases[2].seconds: is missing",
            "arrivals.phases[2].rates: is unknown; known are shape, orders, seconds, half_life_seconds",
            "shows.seats: must be a whole number from 0 to 10000000",
            "shows.zipf_exponent: is missing",
            "users.number: is missing",
            "users.high_priority: must be a number from 0 to 1",
            "quantities.0: is not a number of seats",
            "quantities.3: needs a weight above 0",
            "retries.keyed: must be a number from 0 to 1",
            "readers: poll and websocket must not add up to more than 1",
            "client.max_connections: must not be below connections",
            "service.settings.queue: must be a table",
            "faults.number: must be a whole number from 1 to",
            "faults.lasts_ms: must be [from, to]",
            "faults.kinds.worker_killed: needs a weight above 0",
            "faults.kinds.moon: is not one of worker_killed, worker_frozen,",
            "limits.show_without_verdict_seconds.worker_killed: must be a number from 0 to",
            "limits.show_without_verdict_seconds.moon: is not one of worker_killed,",
            "limits.run_seconds: must be a whole number from 1 to 86400",
            "color: is unknown; known are about, arrivals, shows,",
        ];
        for fault in expected {
            assert!(
                found.iter().any(|found| found.starts_with(fault)),
                "{fault} is not in {found:#?}"
            );
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn what_is_no_toml_says_where() {
        let found = faults("about = ");
        assert!(found[0].contains("line 1"), "{found:?}");
    }

    #[test]
    fn holds_need_shows_that_hold_and_shares_of_one() {
        let found = with("[holds]\nconfirm = 1.0");
        assert_eq!(
            found,
            ["holds: nothing is held with shows.hold_seconds = 0"]
        );
        let holding = SMALL.replace("seats = 10", "seats = 10\nhold_seconds = 5");
        let found = faults(&format!("{holding}\n[holds]\nconfirm = 0.5"));
        assert_eq!(found, ["holds: confirm, cancel and lapse must add up to 1"]);
        let shares = "[holds]\nconfirm = 0.7\ncancel = 0.1\nlapse = 0.2\nthink_ms = [100, 50]";
        let found = faults(&format!("{holding}\n{shares}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("holds.think_ms: must be [from, to]"));
    }

    #[test]
    fn a_wrong_table_is_told_once() {
        assert_eq!(
            faults(&SMALL.replace("[users]\n        number = 5", ""))[..],
            ["users.number: is missing"]
        );
        let wrong = SMALL.replace("about", "shows2 = 1\nabout");
        assert!(faults(&wrong)[0].starts_with("shows2: is unknown"));
    }

    #[test]
    fn two_of_rate_orders_and_seconds_tell_the_third() {
        let phase = |fields: &str| {
            let text = SMALL.replace("rate = 100\n        seconds = 2", fields);
            Scenario::parse(&text).map(|scenario| scenario.arrivals[0])
        };
        let by_orders = phase("rate = 50\norders = 100").unwrap();
        assert_eq!((by_orders.orders, by_orders.seconds), (100, 2.0));
        let by_both = phase("orders = 100\nseconds = 4").unwrap();
        assert_eq!((by_both.orders, by_both.seconds), (100, 4.0));
        let all = phase("rate = 50\norders = 100\nseconds = 4").unwrap_err();
        assert_eq!(
            all.to_string(),
            "arrivals.phases[0]: needs two of rate, orders and seconds"
        );
    }

    #[test]
    fn settings_of_the_service_are_named_by_section() {
        let text = format!("{SMALL}\n[service.settings]\nqueue.capacity = 5\nlog.level = \"info\"");
        let settings = Scenario::parse(&text).unwrap().service.settings;
        let named: Vec<_> = settings
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(named, [("log.level", "info"), ("queue.capacity", "5")]);
    }

    #[test]
    fn faults_need_kinds_and_time() {
        assert_eq!(with("[faults]\nnumber = 3"), ["faults.kinds: is missing"]);
        let found = with("[faults]\nnumber = 3\nkinds = { store_cut = 9, api_killed = 1 }");
        assert_eq!(
            found,
            [
                "faults.kinds.api_killed: never happens among 3 faults of these weights",
                "faults: they take up to 4.0 s, and orders come for 2.0 s"
            ]
        );
        let fits = format!("{SMALL}\n[faults]\nnumber = 1\nkinds = {{ store_cut = 1 }}");
        let faults = Scenario::parse(&fits).unwrap().faults.unwrap();
        assert_eq!((faults.number, faults.quiet_ms), (1, 1_000));
        assert_eq!(Scenario::parse(SMALL).unwrap().faults, None);
    }

    /// What the repository offers can be run.
    #[test]
    fn every_scenario_of_the_repository_is_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            Scenario::load(&path).unwrap();
            count += 1;
        }
        assert!(count >= 6, "{count} scenarios in {folder}");
    }
}
