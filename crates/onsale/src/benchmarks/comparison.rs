//! All ways of selling beside each other, each beside this engine in the same
//! measurement: a table and bars.

use black_box::load::ratio;

use super::accept::Accept;
use super::decide::Decide;
use super::flash_sale::FlashSales;
use super::recipes::{Recipe, Recipes};
use crate::digits::{factor, grouped, rate};
use crate::plot::{Bar, Plot, bars};
use crate::table::Column::{Figure, Text};
use crate::table::Table;

/// Benchmarks whose figures are compared: ways that were measured apart are not.
pub(super) struct Measured<'a> {
    pub(super) accept: &'a Accept,
    pub(super) decide: &'a Decide,
    pub(super) sales: &'a FlashSales,
    pub(super) recipes: &'a Recipes,
}

/// What is not done that way.
const NONE: &str = "–";

pub(super) fn table(measured: &Measured<'_>) -> Table {
    let Measured {
        accept,
        decide,
        sales,
        recipes,
    } = measured;
    let mut table = Table::of([
        Text("way of selling"),
        Figure("orders/s answered durably"),
        Figure("verdicts/s"),
        Figure("flash sale: all verdicts durable after"),
        Text("this engine beside it"),
        Text("what it can lose or oversell"),
    ]);
    table.row([
        "**this engine**, every order decided",
        &rate(accept.service.accepted_per_second),
        &rate(decide.decided.per_second),
        &seconds(sales.open_gate.decided_after_seconds),
        NONE,
        "nothing: answered when a quorum queue has it, told when the verdict is committed",
    ]);
    table.row([
        "**this engine**, sold-out gate as by default",
        NONE,
        NONE,
        &seconds(sales.gate.decided_after_seconds),
        NONE,
        "nothing; who is refused by the gate leaves no ticket",
    ]);
    let one_each = rate(decide.naive_per_second());
    table.row([
        "one transaction per ticket",
        &one_each,
        &one_each,
        NONE,
        &format!("{} times its verdicts/s", factor(decide.beside_naive)),
        "nothing; answers no faster than it commits",
    ]);
    let sold = |recipe: &Recipe| {
        let after = recipe.stored_after_seconds;
        let [open, gate] =
            [&sales.open_gate, &sales.gate].map(|sale| factor(after / sale.decided_after_seconds));
        [
            rate(ratio(recipes.orders, after)),
            seconds(after),
            format!("{open} times its pace, {gate} with the gate"),
        ]
    };
    let [verdicts, after, beside] = sold(&recipes.update_each);
    table.row([
        "guarded `UPDATE` without a queue",
        &rate(recipes.update_each.answers_per_second),
        &verdicts,
        &after,
        &beside,
        "nothing; nobody waits in line: who is served next is up to the row lock",
    ]);
    let [verdicts, after, beside] = sold(&recipes.redis_counter);
    let in_memory = rate(recipes.redis_counter.answers_per_second);
    table.row([
        "Redis counter in front of the store",
        &format!("none ({in_memory} in memory)"),
        &verdicts,
        &after,
        &beside,
        &format!(
            "answered orders that are not stored yet, {} of {} when Redis was killed; \
             their seats are sold again",
            grouped(recipes.redis_lost),
            grouped(recipes.redis_answered)
        ),
    ]);
    table.row([
        "one publish per order",
        &rate(accept.publish_each.accepted_per_second),
        NONE,
        NONE,
        &format!(
            "{} times its orders/s",
            factor(accept.beside_publish_each.median)
        ),
        "nothing; takes orders only",
    ]);
    let nowhere = rate(accept.bare.accepted_per_second);
    table.row([
        "bare handler, the ceiling",
        &format!("none ({nowhere} stored nowhere)"),
        NONE,
        NONE,
        &format!("{} of its orders/s", factor(accept.beside_bare.median)),
        "everything: answers without looking",
    ]);
    table
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

/// Bars of each measurement that ways of selling share.
pub(super) fn plots(measured: &Measured<'_>) -> Vec<Plot> {
    let Measured {
        accept,
        decide,
        sales,
        recipes,
    } = measured;
    let sale = format!(
        "A flash sale of {} orders for {} seats: time until every verdict is durable",
        grouped(recipes.orders),
        grouped(u64::from(recipes.seats))
    );
    vec![
        compared(
            "Verdicts per second, a backlog for one hot show",
            rate,
            [("this engine, one worker", decide.decided.per_second)],
            [("one transaction per ticket", decide.naive_per_second())],
        ),
        compared(
            &sale,
            seconds,
            [
                (
                    "this engine, sold-out gate",
                    sales.gate.decided_after_seconds,
                ),
                (
                    "this engine, all decided",
                    sales.open_gate.decided_after_seconds,
                ),
            ],
            [
                (
                    "guarded UPDATE, no queue",
                    recipes.update_each.stored_after_seconds,
                ),
                (
                    "Redis counter (loses orders in a crash)",
                    recipes.redis_counter.stored_after_seconds,
                ),
            ],
        ),
        compared(
            "Orders answered per second",
            rate,
            [(
                "this engine, confirmed by a quorum queue",
                accept.service.accepted_per_second,
            )],
            [
                (
                    "one confirmed publish per order",
                    accept.publish_each.accepted_per_second,
                ),
                (
                    "bare handler (stores nothing)",
                    accept.bare.accepted_per_second,
                ),
            ],
        ),
    ]
}

/// Bars of this engine, which stand out, and of others.
fn compared<const ENGINE: usize, const OTHERS: usize>(
    title: &str,
    figure: fn(f64) -> String,
    engine: [(&str, f64); ENGINE],
    others: [(&str, f64); OTHERS],
) -> Plot {
    let all = engine.map(|way| (way, true)).into_iter();
    let all = all.chain(others.map(|way| (way, false)));
    let all = all.map(|((label, value), stands_out)| Bar {
        label: label.to_owned(),
        value,
        figure: figure(value),
        stands_out,
    });
    bars(title, &all.collect::<Vec<_>>())
}
