//! All ways of selling beside each other, each beside this engine in the same
//! measurement: a table and bars.

use black_box::load::ratio;

use super::accept::Accept;
use super::decide::Decide;
use super::flash_sale::{FlashSales, Sale};
use super::recipes::Recipes;
use crate::digits::{factor, grouped, rate};
use crate::plot::{Bar, Plot, bars};
use crate::table::Table;

/// Benchmarks whose figures are compared: ways that were measured apart are not.
pub(super) struct Measured<'a> {
    pub(super) accept: &'a Accept,
    pub(super) decide: &'a Decide,
    pub(super) sales: &'a FlashSales,
    pub(super) recipes: &'a Recipes,
}

pub(super) fn table(measured: &Measured<'_>) -> Table {
    let Measured {
        accept,
        decide,
        sales,
        recipes,
    } = measured;
    let mut table = Table::of(
        "way of selling | orders/s answered durably: | verdicts/s: | \
         flash sale: all verdicts durable after: | this engine beside it | \
         what it can lose or oversell",
    );
    let accepted = rate(accept.service.accepted_per_second);
    let decided = rate(decide.decided.per_second);
    let open = seconds(sales.open_gate.stored_after_seconds);
    let gate = seconds(sales.gate.stored_after_seconds);
    table.line(&format!(
        "**this engine**, every order decided | {accepted} | {decided} | {open} | – | \
         nothing: answered when a quorum queue has it, told when the verdict is committed"
    ));
    table.line(&format!(
        "**this engine**, sold-out gate as by default | – | – | {gate} | – | \
         nothing; who is refused by the gate leaves no ticket"
    ));
    let naive = rate(decide.naive_per_second());
    let beside = factor(decide.beside_naive);
    table.line(&format!(
        "one transaction per ticket | {naive} | {naive} | – | {beside} times its verdicts/s | \
         nothing; answers no faster than it commits"
    ));
    let sold = |sale: &Sale| {
        let after = sale.stored_after_seconds;
        let [open, gate] = [&sales.open_gate, &sales.gate]
            .map(|engine| factor(after / engine.stored_after_seconds));
        let (verdicts, after) = (rate(ratio(recipes.orders, after)), seconds(after));
        format!("{verdicts} | {after} | {open} times its pace, {gate} with the gate")
    };
    let (answers, update) = (&recipes.update_each, sold(&recipes.update_each));
    let answers = rate(answers.answers_per_second);
    table.line(&format!(
        "guarded `UPDATE` without a queue | {answers} | {update} | \
         nothing; nobody waits in line: who is served next is up to the row lock"
    ));
    let (answers, redis) = (&recipes.redis_counter, sold(&recipes.redis_counter));
    let answers = rate(answers.answers_per_second);
    let [lost, answered] = [recipes.redis_lost, recipes.redis_answered].map(grouped);
    table.line(&format!(
        "Redis counter in front of the store | none ({answers} in memory) | {redis} | \
         answered orders that are not stored yet, {lost} of {answered} when Redis was killed; \
         their seats are sold again"
    ));
    let each = rate(accept.publish_each.accepted_per_second);
    let beside = factor(accept.beside_publish_each.median);
    table.line(&format!(
        "one publish per order | {each} | – | – | {beside} times its orders/s | \
         nothing; takes orders only"
    ));
    let bare = rate(accept.bare.accepted_per_second);
    let beside = factor(accept.beside_bare.median);
    table.line(&format!(
        "bare handler, the ceiling | none ({bare} stored nowhere) | – | – | \
         {beside} of its orders/s | everything: answers without looking"
    ));
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
    let (decided, naive) = (decide.decided.per_second, decide.naive_per_second());
    let [open, gate, update, redis] = [
        &sales.open_gate,
        &sales.gate,
        &recipes.update_each,
        &recipes.redis_counter,
    ]
    .map(|sale| sale.stored_after_seconds);
    let [service, each, bare] = [&accept.service, &accept.publish_each, &accept.bare]
        .map(|round| round.accepted_per_second);
    let sale = format!(
        "A flash sale of {} orders for {} seats: time until every verdict is durable",
        grouped(recipes.orders),
        grouped(u64::from(recipes.seats))
    );
    vec![
        compared(
            "Verdicts per second, a backlog for one hot show",
            rate,
            [("this engine, one worker", decided)],
            [("one transaction per ticket", naive)],
        ),
        compared(
            &sale,
            seconds,
            [
                ("this engine, sold-out gate", gate),
                ("this engine, all decided", open),
            ],
            [
                ("guarded UPDATE, no queue", update),
                ("Redis counter (loses orders in a crash)", redis),
            ],
        ),
        compared(
            "Orders answered per second",
            rate,
            [("this engine, confirmed by a quorum queue", service)],
            [
                ("one confirmed publish per order", each),
                ("bare handler (stores nothing)", bare),
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
