//! What the service does on a real broker and database, each figure beside a
//! baseline of the same run.

mod accept;
mod comparison;
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
use serde::{Deserialize, Serialize};

use self::accept::{Accept, AcceptArgs};
use self::confirm::{Confirm, ConfirmArgs};
use self::decide::{Decide, DecideArgs};
use self::flash_sale::{FlashSaleArgs, FlashSales};
use self::growth::{Growth, GrowthArgs};
use self::notify::{Notify, NotifyArgs};
use self::recipes::{Recipes, RecipesArgs};
use self::sold_out::{SoldOut, SoldOutArgs};
use crate::database::StoreServer;
use crate::deployment::Deployment;
use crate::report::Provenance;
use crate::report::svg::Plot;
use crate::servers::Servers;
use crate::tables::markdown::Table;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// Orders accepted durably, beside a bare handler and one confirmed publish per request.
    AcceptDurable,
    /// A backlog for one hot show, beside one transaction per ticket.
    Decide,
    /// Holds of one hot show confirmed while its orders are decided.
    Confirm,
    /// More orders than seats, from the first request to the last verdict, as
    /// configured by default and with every order decided.
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
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) setting: Provenance,
    accept_durable: Option<Accept>,
    decide: Option<Decide>,
    confirm: Option<Confirm>,
    flash_sale: Option<FlashSales>,
    recipes: Option<Recipes>,
    sold_out: Option<SoldOut>,
    notify: Option<Notify>,
    growth: Option<Growth>,
    /// What was required and not reached, in words.
    pub(crate) missed: Vec<String>,
}

impl Report {
    /// The places of the tables of its figures.
    pub(crate) const MARKERS: [&str; 8] = [
        "comparison",
        "accept-durable",
        "decide",
        "recipes",
        "confirm",
        "sold-out",
        "notify",
        "growth",
    ];

    /// Tables of what was measured, by their place.
    pub(crate) fn tables(&self) -> Vec<(&'static str, String)> {
        let of = |table: Table| (!table.is_empty()).then(|| table.to_string());
        let tables = [
            of(comparison::table(self)),
            self.accept_durable.as_ref().map(Accept::table),
            self.decide.as_ref().map(Decide::table),
            of(recipes::table(
                self.flash_sale.as_ref(),
                self.recipes.as_ref(),
            )),
            self.confirm.as_ref().map(Confirm::table),
            self.sold_out.as_ref().map(SoldOut::table),
            self.notify.as_ref().map(Notify::table),
            self.growth.as_ref().map(Growth::table),
        ];
        let tables = Self::MARKERS.into_iter().zip(tables);
        tables
            .filter_map(|(marker, table)| Some((marker, table?)))
            .collect()
    }

    /// Bars of what was measured.
    pub(crate) fn plots(&self) -> Vec<Plot> {
        comparison::plots(self)
    }

    fn of(setting: Provenance) -> Self {
        Self {
            setting,
            accept_durable: None,
            decide: None,
            confirm: None,
            flash_sale: None,
            recipes: None,
            sold_out: None,
            notify: None,
            growth: None,
            missed: Vec::new(),
        }
    }
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
    let (server, provenance) = describe(&servers, &args).await?;
    let mut report = Report::of(provenance);
    let all = Measurement::value_variants();
    let chosen = if args.only.is_empty() {
        all
    } else {
        &args.only
    };
    for measurement in all.iter().filter(|one| chosen.contains(one)) {
        let measured = measure(&setting, &args, &server, *measurement, &mut report)
            .await
            .with_context(|| format!("{measurement:?}"));
        if let Err(error) = &measured {
            report.missed.push(format!("{error:#}"));
        }
        write_json(&args, &report)?;
        measured?;
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
async fn describe(
    servers: &Servers,
    args: &ServicesArgs,
) -> anyhow::Result<(StoreServer, Provenance)> {
    let ask = async |deployment: &Deployment| {
        let versions = deployment.versions().await?;
        Ok((deployment.database.server().await?, versions))
    };
    let program = args.tickets_bin.clone();
    let (server, versions) = Deployment::with(servers, program, 0, ask).await?;
    let mut out = io::stdout();
    writeln!(out, "store: {server}")?;
    let local = servers.local_processes()?;
    let names: Vec<_> = local.iter().map(|watched| watched.name).collect();
    writeln!(
        out,
        "servers on this machine, whose CPU time is counted: {}",
        names.join(", ")
    )?;
    Ok((server, Provenance::of(versions)))
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
