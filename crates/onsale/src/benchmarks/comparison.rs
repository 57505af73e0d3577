//! All ways of selling beside each other, each beside this engine in the same
//! measurement: a table and bars.

use black_box::load::ratio;

use super::accept::Accept;
use super::decide::Decide;
use super::flash_sale::FlashSales;
use super::recipes::{Recipe, Recipes};
use crate::digits::{factor, grouped, rate};
use crate::markdown::Column::{Figure, Text};
use crate::markdown::Table;
use crate::plot::{Bar, Plot, bars};

/// Benchmarks whose figures are compared, as far as they were measured.
pub(super) struct Measured<'a> {
    pub(super) accept: Option<&'a Accept>,
    pub(super) decide: Option<&'a Decide>,
    pub(super) sales: Option<&'a FlashSales>,
    pub(super) recipes: Option<&'a Recipes>,
}

/// What was not measured, or is not done that way.
const NONE: &str = "–";

/// A way of selling.
#[derive(Default)]
struct Way {
    name: &'static str,
    answered: Option<String>,
    verdicts: Option<String>,
    after: Option<String>,
    beside: Option<String>,
    can_lose: String,
}

pub(super) fn table(measured: &Measured<'_>) -> Table {
    let mut table = Table::of([
        Text("way of selling"),
        Figure("orders/s answered durably"),
        Figure("verdicts/s"),
        Figure("flash sale: all verdicts durable after"),
        Text("this engine beside it"),
        Text("what it can lose or oversell"),
    ]);
    for way in ways(measured) {
        let figures = [way.answered, way.verdicts, way.after, way.beside];
        if figures.iter().all(Option::is_none) {
            continue;
        }
        let figures = figures.map(|figure| figure.unwrap_or_else(|| NONE.to_owned()));
        let [answered, verdicts, after, beside] = figures;
        let name = way.name.to_owned();
        table.row([name, answered, verdicts, after, beside, way.can_lose]);
    }
    table
}

fn ways(measured: &Measured<'_>) -> [Way; 7] {
    [
        this_engine(measured),
        this_engine_with_gate(measured),
        one_transaction_each(measured),
        guarded_update(measured),
        redis_counter(measured),
        one_publish_each(measured),
        bare_handler(measured),
    ]
}

fn this_engine(measured: &Measured<'_>) -> Way {
    let Measured {
        accept,
        decide,
        sales,
        ..
    } = measured;
    Way {
        name: "**this engine**, every order decided",
        answered: accept.map(|accept| rate(accept.service.accepted_per_second)),
        verdicts: decide.map(|decide| rate(decide.decided.per_second)),
        after: sales.map(|sales| seconds(sales.open_gate.decided_after_seconds)),
        can_lose: "nothing: answered when a quorum queue has it, told when the verdict \
                   is committed"
            .to_owned(),
        ..Way::default()
    }
}

fn this_engine_with_gate(measured: &Measured<'_>) -> Way {
    let after = |sales: &FlashSales| seconds(sales.gate.decided_after_seconds);
    Way {
        name: "**this engine**, sold-out gate as by default",
        after: measured.sales.map(after),
        can_lose: "nothing; who is refused by the gate leaves no ticket".to_owned(),
        ..Way::default()
    }
}

fn one_transaction_each(measured: &Measured<'_>) -> Way {
    let decide = measured.decide;
    let one_each = decide.map(|decide| {
        let [before, after] = &decide.naive;
        rate(before.per_second.max(after.per_second))
    });
    Way {
        name: "one transaction per ticket",
        answered: one_each.clone(),
        verdicts: one_each,
        beside: decide
            .map(|decide| format!("{} times its verdicts/s", factor(decide.beside_naive))),
        can_lose: "nothing; answers no faster than it commits".to_owned(),
        ..Way::default()
    }
}

fn guarded_update(measured: &Measured<'_>) -> Way {
    let answered = |recipes: &Recipes| rate(recipes.update_each.answers_per_second);
    Way {
        name: "guarded `UPDATE` without a queue",
        answered: measured.recipes.map(answered),
        can_lose: "nothing; nobody waits in line: who is served next is up to the row lock"
            .to_owned(),
        ..flash_sale(measured, |recipes| &recipes.update_each)
    }
}

fn redis_counter(measured: &Measured<'_>) -> Way {
    let recipes = measured.recipes;
    Way {
        name: "Redis counter in front of the store",
        answered: recipes.map(|recipes| {
            let answers = rate(recipes.redis_counter.answers_per_second);
            format!("none ({answers} in memory)")
        }),
        can_lose: recipes.map_or(String::new(), |recipes| {
            format!(
                "answered orders that are not stored yet, {} of {} when Redis was killed; \
                 their seats are sold again",
                grouped(recipes.redis_lost),
                grouped(recipes.redis_answered)
            )
        }),
        ..flash_sale(measured, |recipes| &recipes.redis_counter)
    }
}

/// The flash sale by one of the recipes.
fn flash_sale(measured: &Measured<'_>, recipe: fn(&Recipes) -> &Recipe) -> Way {
    let after = measured
        .recipes
        .map(|recipes| recipe(recipes).stored_after_seconds);
    let verdicts =
        |recipes: &Recipes| rate(ratio(recipes.orders, recipe(recipes).stored_after_seconds));
    let beside = |(sales, after): (&FlashSales, f64)| {
        let [gate, open] = [&sales.gate, &sales.open_gate].map(|sale| sale.decided_after_seconds);
        format!(
            "{} times its pace, {} with the gate",
            factor(after / open),
            factor(after / gate)
        )
    };
    Way {
        verdicts: measured.recipes.map(verdicts),
        after: after.map(seconds),
        beside: measured.sales.zip(after).map(beside),
        ..Way::default()
    }
}

fn one_publish_each(measured: &Measured<'_>) -> Way {
    let accept = measured.accept;
    Way {
        name: "one publish per order",
        answered: accept.map(|accept| rate(accept.publish_each.accepted_per_second)),
        beside: accept.map(|accept| {
            let beside = accept.beside_publish_each.median;
            format!("{} times its orders/s", factor(beside))
        }),
        can_lose: "nothing; takes orders only".to_owned(),
        ..Way::default()
    }
}

fn bare_handler(measured: &Measured<'_>) -> Way {
    let accept = measured.accept;
    Way {
        name: "bare handler, the ceiling",
        answered: accept.map(|accept| {
            let answers = rate(accept.bare.accepted_per_second);
            format!("none ({answers} stored nowhere)")
        }),
        beside: accept
            .map(|accept| format!("{} of its orders/s", factor(accept.beside_bare.median))),
        can_lose: "everything: answers without looking".to_owned(),
        ..Way::default()
    }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

/// Bars of each measurement that ways of selling share.
pub(super) fn plots(measured: &Measured<'_>) -> Vec<Plot> {
    let mut plots = Vec::new();
    if let Some(decide) = measured.decide {
        let [before, after] = &decide.naive;
        let naive = before.per_second.max(after.per_second);
        plots.push(bars(
            "Verdicts per second, a backlog for one hot show",
            &[
                engine(rates("this engine, one worker", decide.decided.per_second)),
                rates("one transaction per ticket", naive),
            ],
        ));
    }
    if let (Some(sales), Some(recipes)) = (measured.sales, measured.recipes) {
        let title = format!(
            "A flash sale of {} orders for {} seats: time until every verdict is durable",
            grouped(recipes.orders),
            grouped(u64::from(recipes.seats))
        );
        let (gate, open) = (&sales.gate, &sales.open_gate);
        let (update, redis) = (&recipes.update_each, &recipes.redis_counter);
        plots.push(bars(
            &title,
            &[
                engine(times(
                    "this engine, sold-out gate",
                    gate.decided_after_seconds,
                )),
                engine(times(
                    "this engine, all decided",
                    open.decided_after_seconds,
                )),
                times("guarded UPDATE, no queue", update.stored_after_seconds),
                times(
                    "Redis counter (loses orders in a crash)",
                    redis.stored_after_seconds,
                ),
            ],
        ));
    }
    if let Some(accept) = measured.accept {
        let (service, bare) = (&accept.service, &accept.bare);
        let each = &accept.publish_each;
        plots.push(bars(
            "Orders answered per second",
            &[
                engine(rates(
                    "this engine, confirmed by a quorum queue",
                    service.accepted_per_second,
                )),
                rates("one confirmed publish per order", each.accepted_per_second),
                rates("bare handler (stores nothing)", bare.accepted_per_second),
            ],
        ));
    }
    plots
}

fn rates(label: &str, per_second: f64) -> Bar {
    Bar {
        label: label.to_owned(),
        value: per_second,
        figure: rate(per_second),
        stands_out: false,
    }
}

fn times(label: &str, seconds: f64) -> Bar {
    Bar {
        label: label.to_owned(),
        value: seconds,
        figure: self::seconds(seconds),
        stands_out: false,
    }
}

fn engine(bar: Bar) -> Bar {
    Bar {
        stands_out: true,
        ..bar
    }
}
