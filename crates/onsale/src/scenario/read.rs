//! From TOML to a scenario.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use toml::{Table, Value};

use super::arrivals::{Phase, Shape, Spacing};
use super::faults::{FaultKind, FaultTerms};
use super::fields::{Faults, Fields, number};
use super::sale::{
    Client, Holds, Limits, Popularity, Readers, Retries, Scenario, Service, Shows, Users,
};
use super::silences::SilenceLimits;

/// Orders of a run: what the client remembers of each fits into its memory.
const MAX_ORDERS: u64 = 10_000_000;
const MAX_SECONDS: f64 = 86_400.0;
const MAX_RATE: f64 = 1_000_000.0;
const MAX_SEATS: u64 = 10_000_000;
const MAX_SHOWS: u64 = 100_000;
const MAX_USERS: u64 = 10_000_000;
/// Far above what any service takes per order.
const MAX_QUANTITY: u32 = 1_000;
const MAX_CONNECTIONS: u64 = 20_000;
const MAX_MS: u64 = 3_600_000;
const MAX_FAULTS: u64 = 10_000;
/// Shares are written with a few digits.
const TOLERANCE: f64 = 1e-6;

/// Every fault of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScenarioFaults(pub Vec<String>);

impl std::error::Error for ScenarioFaults {}

/// One per line.
impl fmt::Display for ScenarioFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.join("\n"))
    }
}

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
    pub(crate) fn parse(text: &str) -> Result<Self, ScenarioFaults> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| ScenarioFaults(vec![error.to_string()]))?;
        let faults = Faults::default();
        let scenario = read(Fields::of(String::new(), table, &faults));
        let faults = faults.into_inner();
        match scenario {
            Some(scenario) if faults.is_empty() => Ok(scenario),
            _ => Err(ScenarioFaults(faults)),
        }
    }
}

fn read(mut file: Fields<'_>) -> Option<Scenario> {
    let about = file.text("about");
    let about = file.require("about", about);
    let arrivals = read_arrivals(file.section("arrivals"));
    let shows = read_shows(file.section("shows"));
    let users = read_users(file.section("users"));
    let quantities = read_quantities(file.section("quantities"));
    let retries = read_retries(file.section("retries"));
    let readers = read_readers(file.section("readers"));
    let holds_section = file.section("holds");
    let hold_seconds = shows.as_ref().map(|shows| shows.hold_seconds);
    let holds = read_holds(holds_section, hold_seconds);
    let client = read_client(file.section("client"));
    let service = read_service(file.section("service"));
    let seconds = arrivals
        .as_ref()
        .map(|(_, phases)| phases.iter().map(|phase| phase.seconds).sum());
    let faults = read_fault_terms(file.section("faults"), seconds);
    let limits = read_limits(file.section("limits"));
    file.finish();
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

fn read_arrivals(mut arrivals: Fields<'_>) -> Option<(Spacing, Vec<Phase>)> {
    let spacings = [("random", Spacing::Random), ("even", Spacing::Even)];
    let spacing = arrivals.word("spacing", &spacings);
    let phases = arrivals.sections("phases");
    if phases.is_empty() {
        arrivals.require("phases", None::<()>);
    }
    let phases: Vec<_> = phases.into_iter().map(read_phase).collect();
    let phases: Option<Vec<Phase>> = phases.into_iter().collect();
    let orders: u64 = phases.iter().flatten().map(|phase| phase.orders).sum();
    if orders > MAX_ORDERS {
        arrivals.fault(
            "phases",
            format_args!("{orders} orders are more than {MAX_ORDERS}"),
        );
    }
    arrivals.finish();
    Some((spacing.unwrap_or(Spacing::Random), phases?))
}

#[derive(Clone, Copy)]
enum ShapeWord {
    Flat,
    Ramp,
    Spike,
}

fn read_phase(mut phase: Fields<'_>) -> Option<Phase> {
    let shapes = [
        ("flat", ShapeWord::Flat),
        ("ramp", ShapeWord::Ramp),
        ("spike", ShapeWord::Spike),
    ];
    let shape = phase.word("shape", &shapes);
    let shape = phase.require("shape", shape);
    let orders = phase.whole("orders", 1..=MAX_ORDERS);
    let seconds = phase.number("seconds", 0.0..=MAX_SECONDS);
    let read = shape.and_then(|shape| match shape {
        ShapeWord::Flat => {
            let rate = phase.number("rate", f64::MIN_POSITIVE..=MAX_RATE);
            by_rate(&phase, Shape::Flat, rate, orders, seconds)
        }
        ShapeWord::Ramp => {
            let from = phase.number("from_rate", 0.0..=MAX_RATE);
            let to = phase.number("to_rate", 0.0..=MAX_RATE);
            let from_rate = phase.require("from_rate", from);
            let to_rate = phase.require("to_rate", to);
            let (from_rate, to_rate) = (from_rate?, to_rate?);
            if from_rate + to_rate == 0.0 {
                phase.fault("to_rate", "must not be 0 if from_rate is");
                return None;
            }
            let ramp = Shape::Ramp { from_rate, to_rate };
            let mean = f64::midpoint(from_rate, to_rate);
            by_rate(&phase, ramp, Some(mean), orders, seconds)
        }
        ShapeWord::Spike => {
            let half_life = phase.number("half_life_seconds", 0.001..=MAX_SECONDS);
            let half_life = phase.require("half_life_seconds", half_life);
            let orders = phase.require("orders", orders);
            let seconds = phase.require("seconds", seconds);
            Some(Phase {
                shape: Shape::Spike {
                    half_life_seconds: half_life?,
                },
                orders: orders?,
                seconds: seconds?,
            })
        }
    });
    phase.finish();
    read
}

/// Any two of the three tell the third.
fn by_rate(
    phase: &Fields<'_>,
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
            phase.fault_of_all(format_args!("needs {names}"));
            return None;
        }
    };
    if orders == 0 || orders > MAX_ORDERS || seconds > MAX_SECONDS || seconds == 0.0 {
        phase.fault_of_all(format_args!(
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

#[derive(Clone, Copy)]
enum PopularityWord {
    Uniform,
    Hot,
    Zipf,
}

fn read_shows(mut shows: Fields<'_>) -> Option<Shows> {
    let number = shows.whole("number", 1..=MAX_SHOWS).or(Some(1));
    let seats = shows.whole("seats", 0..=MAX_SEATS);
    let seats = shows.require("seats", seats);
    let hold_seconds = shows.whole("hold_seconds", 0..=604_800).unwrap_or(0);
    let max_per_user = shows.whole("max_per_user", 1..=MAX_SEATS).unwrap_or(10);
    let words = [
        ("uniform", PopularityWord::Uniform),
        ("hot", PopularityWord::Hot),
        ("zipf", PopularityWord::Zipf),
    ];
    let popularity = match shows.word("popularity", &words) {
        None | Some(PopularityWord::Uniform) => Some(Popularity::Uniform),
        Some(PopularityWord::Hot) => {
            let share = shows.number("hot_share", 0.0..=1.0);
            let share = shows.require("hot_share", share);
            share.map(|share| Popularity::Hot { share })
        }
        Some(PopularityWord::Zipf) => {
            let exponent = shows.number("zipf_exponent", 0.0..=10.0);
            let exponent = shows.require("zipf_exponent", exponent);
            exponent.map(|exponent| Popularity::Zipf { exponent })
        }
    };
    shows.finish();
    Some(Shows {
        number: u32::try_from(number?).ok()?,
        seats: u32::try_from(seats?).ok()?,
        hold_seconds: u32::try_from(hold_seconds).ok()?,
        max_per_user: u32::try_from(max_per_user).ok()?,
        popularity: popularity?,
    })
}

fn read_users(mut users: Fields<'_>) -> Option<Users> {
    let number = users.whole("number", 1..=MAX_USERS);
    let number = users.require("number", number);
    let high_priority = users.share("high_priority");
    users.finish();
    Some(Users {
        number: u32::try_from(number?).ok()?,
        high_priority,
    })
}

/// Seats by weight; one seat unless given.
fn read_quantities(quantities: Fields<'_>) -> Option<Vec<(u32, f64)>> {
    let seats = |name: &str| {
        let seats = name.parse().ok();
        seats.filter(|seats| (1..=MAX_QUANTITY).contains(seats))
    };
    let expected = format!("a number of seats from 1 to {MAX_QUANTITY}");
    let mut weights = read_weights(&quantities, &expected, seats)?;
    if weights.is_empty() {
        weights.push((1, 1.0));
    }
    Some(weights)
}

/// Everything in a table by its weight; `None` where something is wrong.
fn read_weights<T>(
    table: &Fields<'_>,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<Vec<(T, f64)>> {
    let mut weights = Vec::new();
    for (name, weight) in table.rest() {
        let weight = number(weight).filter(|weight| *weight > 0.0 && weight.is_finite());
        match (read(name), weight) {
            (Some(what), Some(weight)) => weights.push((what, weight)),
            (None, _) => table.fault(name, format_args!("is not {expected}")),
            (_, None) => table.fault(name, "needs a weight above 0"),
        }
    }
    (weights.len() == table.rest().len()).then_some(weights)
}

fn read_retries(mut retries: Fields<'_>) -> Option<Retries> {
    let keyed = retries.share("keyed");
    let repeated = retries.share("repeated");
    let timeout_ms = retries.whole("timeout_ms", 1..=MAX_MS).unwrap_or(2_000);
    let pause_ms = retries.whole("pause_ms", 0..=MAX_MS).unwrap_or(500);
    let at_most = retries.whole("at_most", 0..=100).unwrap_or(0);
    retries.finish();
    Some(Retries {
        keyed,
        repeated,
        timeout_ms,
        pause_ms,
        at_most: u8::try_from(at_most).ok()?,
    })
}

fn read_holds(mut holds: Fields<'_>, hold_seconds: Option<u32>) -> Option<Holds> {
    let is_given = !holds.rest().is_empty();
    let (confirm, cancel, lapse) = (
        holds.share("confirm"),
        holds.share("cancel"),
        holds.share("lapse"),
    );
    let think_ms = holds.span("think_ms", 0..=MAX_MS).unwrap_or((0, 0));
    match hold_seconds {
        Some(0) if is_given => {
            holds.fault_of_all("nothing is held with shows.hold_seconds = 0");
        }
        Some(1..) if (confirm + cancel + lapse - 1.0).abs() > TOLERANCE => {
            holds.fault_of_all("confirm, cancel and lapse must add up to 1");
        }
        _ => {}
    }
    holds.finish();
    Some(Holds {
        confirm,
        cancel,
        lapse,
        think_ms,
    })
}

fn read_readers(mut readers: Fields<'_>) -> Option<Readers> {
    let poll = readers.share("poll");
    let poll_interval_ms = readers
        .whole("poll_interval_ms", 1..=MAX_MS)
        .unwrap_or(1_000);
    let websocket = readers.share("websocket");
    let connections = readers.whole("websocket_connections", 1..=MAX_CONNECTIONS);
    let websocket_connections = connections.unwrap_or(16);
    if poll + websocket > 1.0 + TOLERANCE {
        readers.fault_of_all("poll and websocket must not add up to more than 1");
    }
    readers.finish();
    Some(Readers {
        poll,
        poll_interval_ms,
        websocket,
        websocket_connections: usize::try_from(websocket_connections).ok()?,
    })
}

fn read_client(mut client: Fields<'_>) -> Option<Client> {
    let connections = client
        .whole("connections", 1..=MAX_CONNECTIONS)
        .unwrap_or(64);
    let most = client.whole("max_connections", 1..=MAX_CONNECTIONS);
    let max_connections = most.unwrap_or_else(|| connections.max(512));
    let timeout_ms = client.whole("timeout_ms", 1..=MAX_MS).unwrap_or(10_000);
    if max_connections < connections {
        client.fault("max_connections", "must not be below connections");
    }
    client.finish();
    Some(Client {
        connections: usize::try_from(connections).ok()?,
        max_connections: usize::try_from(max_connections).ok()?,
        timeout_ms,
    })
}

fn read_service(mut service: Fields<'_>) -> Option<Service> {
    let workers = service.whole("workers", 1..=64).unwrap_or(1);
    let store_latency_ms = service.whole("store_latency_ms", 0..=10_000).unwrap_or(0);
    let given = service.section("settings");
    let mut settings = BTreeMap::new();
    for (section, values) in given.rest() {
        match values {
            Value::Table(values) => settings.extend(values.iter().map(|(name, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (format!("{section}.{name}"), value)
            })),
            _ => given.fault(section, "is not a section of the service's settings"),
        }
    }
    service.finish();
    Some(Service {
        workers: u32::try_from(workers).ok()?,
        store_latency_ms,
        settings,
    })
}

/// Faults that happen while orders come, for so many seconds.
fn read_fault_terms(mut faults: Fields<'_>, seconds: Option<f64>) -> Option<Option<FaultTerms>> {
    if faults.rest().is_empty() {
        return Some(None);
    }
    let number = faults.whole("number", 1..=MAX_FAULTS);
    let number = faults.require("number", number);
    let lasts_ms = faults
        .span("lasts_ms", 0..=MAX_MS)
        .unwrap_or((1_000, 5_000));
    let down_ms = faults.span("down_ms", 0..=MAX_MS).unwrap_or((0, 1_000));
    let quiet_ms = faults.whole("quiet_ms", 0..=MAX_MS).unwrap_or(1_000);
    let overlapping = faults.flag("overlapping");
    let kinds = faults.section("kinds");
    let known = FaultKind::ALL.map(FaultKind::name).join(", ");
    let weights = read_weights(&kinds, &format!("one of {known}"), FaultKind::named);
    if weights.as_ref().is_some_and(Vec::is_empty) {
        kinds.fault_of_all("is missing");
    }
    let weights = weights.filter(|weights| !weights.is_empty());
    let terms = number.zip(weights).and_then(|(number, kinds)| {
        Some(FaultTerms {
            number: u32::try_from(number).ok()?,
            kinds,
            lasts_ms,
            down_ms,
            quiet_ms,
            overlapping,
        })
    });
    if let Some(terms) = &terms {
        check_fault_terms(&faults, &kinds, terms, seconds);
    }
    faults.finish();
    terms.map(Some)
}

fn check_fault_terms(
    faults: &Fields<'_>,
    kinds: &Fields<'_>,
    terms: &FaultTerms,
    seconds: Option<f64>,
) {
    for (kind, count) in terms.counts() {
        if count == 0 {
            let number = terms.number;
            kinds.fault(
                kind.name(),
                format_args!("never happens among {number} faults of these weights"),
            );
        }
    }
    let longest = std::time::Duration::from_millis(terms.longest_ms()).as_secs_f64();
    if let Some(seconds) = seconds.filter(|seconds| longest > *seconds) {
        faults.fault_of_all(format_args!(
            "they take up to {longest:.1} s, and orders come for {seconds:.1} s"
        ));
    }
}

fn read_limits(mut limits: Fields<'_>) -> Option<Limits> {
    let decided_within_seconds = limits.number("decided_within_seconds", 0.001..=MAX_SECONDS);
    let answered_at_least = limits.share("answered_at_least");
    let patience_seconds = limits.whole("patience_seconds", 1..=3_600).unwrap_or(60);
    let run_seconds = limits.whole("run_seconds", 1..=86_400).unwrap_or(900);
    let show_without_verdict = read_silences(limits.section("show_without_verdict_seconds"));
    let accepted_again = read_silences(limits.section("accepted_again_seconds"));
    limits.finish();
    Some(Limits {
        decided_within_seconds,
        answered_at_least,
        silences: SilenceLimits {
            show_without_verdict: show_without_verdict?,
            accepted_again: accepted_again?,
        },
        patience_seconds,
        run_seconds,
    })
}

/// Seconds by kinds of faults.
fn read_silences(silences: Fields<'_>) -> Option<Vec<(FaultKind, f64)>> {
    let known = FaultKind::ALL.map(FaultKind::name).join(", ");
    let mut read = Vec::new();
    for (name, limit) in silences.rest() {
        let seconds = number(limit).filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds));
        match (FaultKind::named(name), seconds) {
            (Some(kind), Some(seconds)) => read.push((kind, seconds)),
            (None, _) => silences.fault(name, format_args!("is not one of {known}")),
            (_, None) => silences.fault(name, format_args!("{limit} is no number of seconds")),
        }
    }
    (read.len() == silences.rest().len()).then_some(read)
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
        Scenario::parse(text).unwrap_err().0
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
            "arrivals.spacing: \"odd\" is not one of random, even",
            "arrivals.phases[0].rate: -1 is not a number from",
            "arrivals.phases[0]: needs two of rate, orders and seconds",
            "arrivals.phases[1].to_rate: is missing",
            "arrivals.phases[2].half_life_seconds: is missing",
            "arrivals.phases[2].seconds: is missing",
            "arrivals.phases[2].rates: is unknown; known are shape, orders, seconds, half_life_seconds",
            "shows.seats: 1.5 is not a whole number from 0 to 10000000",
            "shows.zipf_exponent: is missing",
            "users.number: is missing",
            "users.high_priority: 2 is not a number from 0 to 1",
            "quantities.0: is not a number of seats",
            "quantities.3: needs a weight above 0",
            "retries.keyed: \"half\" is not a number from 0 to 1",
            "readers: poll and websocket must not add up to more than 1",
            "client.max_connections: must not be below connections",
            "service.settings.queue: is not a section",
            "faults.number: 0 is not a whole number from 1 to",
            "faults.lasts_ms: [2, 1] is not [from, to]",
            "faults.kinds.worker_killed: needs a weight above 0",
            "faults.kinds.moon: is not one of worker_killed, worker_frozen,",
            "limits.show_without_verdict_seconds.worker_killed: -1 is no number of seconds",
            "limits.show_without_verdict_seconds.moon: is not one of worker_killed,",
            "limits.run_seconds: 0 is not a whole number from 1 to 86400",
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
        assert!(found[0].starts_with("holds.think_ms: [100, 50] is not [from, to]"));
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
            all.0,
            ["arrivals.phases[0]: needs two of rate, orders and seconds"]
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
