//! What the service does on a real broker and database, each figure beside a
//! baseline of the same run.

mod accept;
mod confirm;
mod decide;
mod flash_sale;
mod growth;
mod naive;
mod notify;
mod recipes;
mod sold_out;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::accept::{Accept, AcceptArgs};
use self::confirm::{Confirm, ConfirmArgs};
use self::decide::{Decide, DecideArgs};
use self::flash_sale::{FlashSale, FlashSaleArgs};
use self::growth::{Growth, GrowthArgs};
use self::notify::{Notify, NotifyArgs};
use self::recipes::{Recipes, RecipesArgs};
use self::sold_out::{SoldOut, SoldOutArgs};
use crate::database::{Database, StoreServer};
use crate::servers::Servers;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// Orders accepted durably, beside a bare handler and one confirmed publish per request.
    AcceptDurable,
    /// A backlog for one hot show, beside one transaction per ticket.
    Decide,
    /// Holds of one hot show confirmed while its orders are decided.
    Confirm,
    /// More orders than seats, from the first request to the last verdict.
    FlashSale,
    /// The flash sale by a guarded `UPDATE` per order, and by a counter in Redis.
    Recipes,
    /// Orders for a sold-out show, beside a bare handler.
    SoldOut,
    /// Verdicts to ten thousand sockets, and how soon, beside a broadcast in one process.
    Notify,
    /// Rates, CPU time and memory by number of orders and of shows.
    Growth,
}

/// What is measured and how.
#[derive(Debug, Clone, Args)]
pub struct ServicesArgs {
    /// Only these; all unless given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Measurement>,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 512)]
    pub connections: usize,
    /// Distinct users that order in turn.
    #[arg(long, default_value_t = 50_000)]
    pub users: u64,
    /// The service; the `tickets` beside this binary unless given.
    #[arg(long)]
    pub tickets_bin: Option<PathBuf>,
    /// Writes the figures into this file too.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// As its help says.
    #[command(flatten)]
    pub accept: AcceptArgs,
    /// As its help says.
    #[command(flatten)]
    pub decide: DecideArgs,
    /// As its help says.
    #[command(flatten)]
    pub confirm: ConfirmArgs,
    /// As its help says.
    #[command(flatten)]
    pub flash_sale: FlashSaleArgs,
    /// As its help says.
    #[command(flatten)]
    pub recipes: RecipesArgs,
    /// As its help says.
    #[command(flatten)]
    pub sold_out: SoldOutArgs,
    /// As its help says.
    #[command(flatten)]
    pub notify: NotifyArgs,
    /// As its help says.
    #[command(flatten)]
    pub growth: GrowthArgs,
}

/// Every figure of a run.
#[derive(Debug, Default, Serialize)]
struct Report {
    store_server: Option<StoreServer>,
    accept_durable: Option<Accept>,
    decide: Option<Decide>,
    confirm: Option<Confirm>,
    flash_sale: Option<FlashSale>,
    recipes: Option<Recipes>,
    sold_out: Option<SoldOut>,
    notify: Option<Notify>,
    growth: Option<Growth>,
    /// What was required and not reached, in words.
    missed: Vec<String>,
}

/// What every measurement needs.
struct Setting<'a> {
    servers: &'a Servers,
    program: Option<PathBuf>,
    connections: usize,
    users: u64,
}

/// A figure that is required.
struct Required {
    what: &'static str,
    figure: f64,
    at_least: f64,
}

impl Required {
    fn missed(&self) -> Option<String> {
        let Self {
            what,
            figure,
            at_least,
        } = self;
        // A figure that is no number is missed too.
        let is_reached = figure >= at_least;
        (!is_reached).then(|| format!("{what}: {figure:.2} is below {at_least}"))
    }
}

fn missed(required: &[Required]) -> Vec<String> {
    required.iter().filter_map(Required::missed).collect()
}

/// A figure that has a limit.
struct Wanted {
    what: &'static str,
    figure: f64,
    at_most: f64,
}

fn unmet(wanted: &[Wanted]) -> Vec<String> {
    let above = wanted.iter().filter(|one| {
        // A figure that is no number is missed too.
        let is_met = one.figure <= one.at_most;
        !is_met
    });
    above
        .map(|one| format!("{}: {:.2} is above {}", one.what, one.figure, one.at_most))
        .collect()
}

/// Measures, prints and reconciles. What was measured before a failure is
/// printed and written all the same.
///
/// # Errors
/// When a run cannot be trusted, or a figure is below its limit.
pub async fn run(args: ServicesArgs) -> anyhow::Result<()> {
    ensure!(args.users > 0, "--users must be at least 1");
    ensure!(args.connections > 0, "--connections must be at least 1");
    let servers = Servers::find()?;
    let setting = Setting {
        servers: &servers,
        program: args.tickets_bin.clone(),
        connections: args.connections,
        users: args.users,
    };
    let mut report = Report::default();
    let server = describe_servers(&servers).await?;
    report.store_server = Some(server.clone());
    let all = Measurement::value_variants();
    let chosen = if args.only.is_empty() {
        all
    } else {
        &args.only
    };
    for measurement in all.iter().filter(|one| chosen.contains(one)) {
        let measured = measure(&setting, &args, &server, *measurement, &mut report).await;
        write_json(&args, &report)?;
        measured.with_context(|| format!("{measurement:?}"))?;
    }
    if !report.missed.is_empty() {
        bail!("{}", report.missed.join("\n"));
    }
    Ok(())
}

async fn measure(
    setting: &Setting<'_>,
    args: &ServicesArgs,
    server: &StoreServer,
    measurement: Measurement,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match measurement {
        Measurement::AcceptDurable => {
            let accept = Box::pin(accept::measure(setting, &args.accept)).await?;
            write!(out, "{accept}")?;
            report.missed.extend(accept.missed(&args.accept));
            report.accept_durable = Some(accept);
        }
        Measurement::Decide => {
            let decide = Box::pin(decide::measure(setting, &args.decide)).await?;
            write!(out, "{decide}")?;
            report.missed.extend(decide.missed(&args.decide, server));
            report.decide = Some(decide);
        }
        Measurement::Confirm => {
            let confirm = Box::pin(confirm::measure(setting, &args.confirm)).await?;
            write!(out, "{confirm}")?;
            report.missed.extend(confirm.missed(&args.confirm));
            report.confirm = Some(confirm);
        }
        Measurement::FlashSale => {
            let sold = Box::pin(flash_sale::measure(setting, &args.flash_sale)).await?;
            write!(out, "{sold}")?;
            report.missed.extend(sold.missed(&args.flash_sale));
            report.flash_sale = Some(sold);
        }
        Measurement::Recipes => {
            let sale = &args.flash_sale;
            let (orders, seats) = (sale.flash_orders, sale.flash_seats);
            let recipes = recipes::measure(setting, &args.recipes, orders, seats);
            let recipes = Box::pin(recipes).await?;
            write!(out, "{recipes}")?;
            report.recipes = Some(recipes);
        }
        Measurement::SoldOut => {
            let sold_out = Box::pin(sold_out::measure(setting, &args.sold_out)).await?;
            write!(out, "{sold_out}")?;
            report.missed.extend(sold_out.missed(&args.sold_out));
            report.sold_out = Some(sold_out);
        }
        Measurement::Notify => {
            let notify = Box::pin(notify::measure(setting, &args.notify)).await?;
            write!(out, "{notify}")?;
            report.missed.extend(notify.missed(&args.notify));
            report.notify = Some(notify);
        }
        Measurement::Growth => {
            let growth = Box::pin(growth::measure(setting, &args.growth)).await?;
            report.missed.extend(growth.missed(&args.growth));
            report.growth = Some(growth);
        }
    }
    Ok(())
}

/// Prints what the figures stand on.
async fn describe_servers(servers: &Servers) -> anyhow::Result<StoreServer> {
    let database = Database::create(&servers.mysql_url).await?;
    let described = database.server().await;
    database.drop().await?;
    let server = described?;
    let mut out = io::stdout();
    writeln!(out, "store: {server}")?;
    let local = servers.local_processes()?;
    let names: Vec<_> = local.iter().map(|watched| watched.name).collect();
    writeln!(
        out,
        "servers on this machine, whose CPU time is counted: {}",
        names.join(", ")
    )?;
    Ok(server)
}

fn write_json(args: &ServicesArgs, report: &Report) -> anyhow::Result<()> {
    let Some(path) = &args.json else {
        return Ok(());
    };
    std::fs::write(path, serde_json::to_string_pretty(report)?)
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(figure: f64) -> Required {
        Required {
            what: "rate",
            figure,
            at_least: 2.5,
        }
    }

    #[test]
    fn what_is_below_its_limit_is_missed() {
        assert!(missed(&[required(2.5), required(f64::INFINITY)]).is_empty());
        assert_eq!(missed(&[required(2.0)]), ["rate: 2.00 is below 2.5"]);
        assert_eq!(missed(&[required(f64::NAN)]).len(), 1);
    }

    #[test]
    fn what_is_above_its_limit_is_missed() {
        let wanted = |figure| Wanted {
            what: "p99",
            figure,
            at_most: 50.0,
        };
        assert!(unmet(&[wanted(50.0), wanted(0.0)]).is_empty());
        assert_eq!(unmet(&[wanted(51.0)]), ["p99: 51.00 is above 50"]);
        assert_eq!(unmet(&[wanted(f64::NAN)]).len(), 1);
    }
}
