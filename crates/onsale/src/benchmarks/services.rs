//! `onsale bench-services`: the list of benchmarks on a real broker and database, and
//! their run.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use black_box::deployment::Deployment;
use black_box::local_servers::local_processes;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use test_servers::Servers;

use super::accept::Accept;
use super::benchmark::{Benchmark, Setting};
use super::comparison;
use super::confirm::Confirm;
use super::decide::Decide;
use super::edge::Edge;
use super::flash_sale::{self, FlashSales};
use super::growth::Growth;
use super::notify::Notify;
use super::observed::Observed;
use super::recipes::Recipes;
use super::sold_out::SoldOut;
use crate::files::write_json;
use crate::plot::Plot;
use crate::provenance::Provenance;
use crate::table::Table;

/// Makes of each line: a word of `--only`, the options of the benchmark, its figures in the
/// result, and its table.
macro_rules! benchmarks {
    ($($(#[$help:meta])+ $word:ident, $options:ident, $figures:ident: $benchmark:ty;)+) => {
        /// What can be measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, strum::Display)]
        #[strum(serialize_all = "kebab-case")]
        pub(crate) enum Measurement {
            $($(#[$help])+ $word,)+
        }

        #[derive(Debug, Clone, Args)]
        struct Options {
            $(#[command(flatten)] $options: <$benchmark as Benchmark>::Args,)+
        }

        /// Every figure of a run.
        #[derive(Debug, Serialize, Deserialize)]
        pub(crate) struct Report {
            pub(crate) setting: Provenance,
            $($figures: Option<$benchmark>,)+
            /// What was required and not reached, in words.
            pub(crate) missed: Vec<String>,
        }

        impl Report {
            fn of(setting: Provenance) -> Self {
                Self { setting, $($figures: None,)+ missed: Vec::new() }
            }

            /// Measures one, prints and keeps its figures.
            async fn measure(
                &mut self,
                measurement: Measurement,
                setting: &Setting<'_>,
                options: &Options,
            ) -> anyhow::Result<()> {
                match measurement {
                    $(Measurement::$word => {
                        let options = &options.$options;
                        let figures = Box::pin(<$benchmark>::measure(setting, options)).await?;
                        writeln!(io::stdout(), "{measurement}\n{}", figures.table().aligned())?;
                        self.missed.extend(figures.missed(setting, options).into_iter().flatten());
                        self.$figures = Some(figures);
                    })+
                }
                Ok(())
            }

            /// The tables that benchmarks have for themselves, by their place.
            fn own_tables(&self) -> Vec<(&'static str, Table)> {
                let mut tables = Vec::new();
                $(if let (Some(marker), Some(figures)) = (<$benchmark>::MARKER, &self.$figures) {
                    tables.push((marker, figures.table()));
                })+
                tables
            }

            fn own_markers() -> impl Iterator<Item = &'static str> {
                [$(<$benchmark>::MARKER,)+].into_iter().flatten()
            }
        }
    };
}

benchmarks! {
    /// Accepts orders durably, beside a bare handler and one confirmed publish per order.
    AcceptDurable, accept, accept_durable: Accept;
    /// Accepts orders durably with tokens, limits and HTTPS, beside the same without.
    Edge, edge, edge: Edge;
    /// Accepts and decides orders with metrics and traces, beside the same without.
    Observed, observed, observed: Observed;
    /// Decides a backlog of one hot show, beside one transaction per ticket.
    Decide, decide, decide: Decide;
    /// Confirms holds of one hot show while its orders are decided.
    Confirm, confirm, confirm: Confirm;
    /// Sells a show with more orders than seats, from the first request to the last verdict,
    /// once with the default configuration and once without the gate.
    FlashSale, flash_sale, flash_sale: FlashSales;
    /// Sells the same by a guarded `UPDATE` per order, and by a counter in Redis.
    Recipes, recipes, recipes: Recipes;
    /// Refuses orders of a sold-out show, beside a bare handler.
    SoldOut, sold_out, sold_out: SoldOut;
    /// Sends verdicts to ten thousand sockets and measures their delay, beside a broadcast.
    Notify, notify, notify: Notify;
    /// Measures rates, CPU time and memory by the number of orders and of shows.
    Growth, growth, growth: Growth;
}

/// The places of the tables of several benchmarks.
const SHARED: [&str; 2] = ["comparison", "recipes"];

/// What is measured and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServicesArgs {
    /// Runs only these benchmarks [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measurement>,
    /// The number of keep-alive connections.
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// The number of users, who order in turn.
    #[arg(long, default_value_t = 50_000)]
    users: u32,
    /// The program of the service [default: the `tickets` beside this binary].
    #[arg(long)]
    tickets_bin: Option<PathBuf>,
    /// Also writes the figures to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

impl Report {
    /// The places of its tables.
    pub(crate) fn markers() -> impl Iterator<Item = &'static str> {
        SHARED.into_iter().chain(Self::own_markers())
    }

    /// Tables of what was measured, by their place.
    pub(crate) fn tables(&self) -> Vec<(&'static str, Table)> {
        let mut tables = self.own_tables();
        let compared = self.compared();
        let compared = compared.map(|measured| comparison::table(&measured));
        let sales = self.flash_sale.as_ref();
        let rows = sales.map(FlashSales::rows);
        let recipes = self.recipes.as_ref();
        let more = recipes.map(|recipes| recipes.rows(sales));
        let sold = flash_sale::table(rows.into_iter().chain(more).flatten());
        let sold = (!sold.is_empty()).then_some(sold);
        for (marker, table) in SHARED.into_iter().zip([compared, sold]) {
            tables.extend(table.map(|table| (marker, table)));
        }
        tables
    }

    /// Bars of what was measured.
    pub(crate) fn plots(&self) -> Vec<Plot> {
        let compared = self.compared();
        compared.map_or(Vec::new(), |measured| comparison::plots(&measured))
    }

    fn compared(&self) -> Option<comparison::Measured<'_>> {
        Some(comparison::Measured {
            accept: self.accept_durable.as_ref()?,
            decide: self.decide.as_ref()?,
            sales: self.flash_sale.as_ref()?,
            recipes: self.recipes.as_ref()?,
        })
    }
}

/// Measures, prints and proves. What was measured before a failure is printed and
/// written all the same.
pub(crate) async fn run(args: ServicesArgs) -> anyhow::Result<()> {
    ensure!(args.users > 0, "--users must be at least 1");
    ensure!(args.connections > 0, "--connections must be at least 1");
    let servers = Servers::find()?;
    let provenance = describe(&servers, args.tickets_bin.clone()).await?;
    let store = provenance.versions.get("store");
    let sale = &args.options.flash_sale;
    let setting = Setting {
        servers: &servers,
        is_mariadb: store.is_some_and(|store| store.starts_with("MariaDB")),
        program: args.tickets_bin.clone(),
        connections: args.connections,
        users: args.users,
        flash_sale: (sale.flash_orders, sale.flash_seats),
    };
    let mut report = Report::of(provenance);
    let all = Measurement::value_variants();
    let chosen = if args.only.is_empty() {
        all
    } else {
        &args.only
    };
    for measurement in all.iter().filter(|one| chosen.contains(one)) {
        let measured = report
            .measure(*measurement, &setting, &args.options)
            .await
            .with_context(|| format!("{measurement:?}"));
        if let Err(error) = &measured {
            report.missed.push(format!("{error:#}"));
        }
        write_json(args.json.as_deref(), &report)?;
        measured?;
    }
    if !report.missed.is_empty() {
        bail!("{}", report.missed.join("\n"));
    }
    Ok(())
}

/// Prints what the figures stand on.
async fn describe(servers: &Servers, program: Option<PathBuf>) -> anyhow::Result<Provenance> {
    let ask = async |deployment: &Deployment| deployment.versions().await;
    let provenance = Provenance::of(Deployment::with(servers, program, ask).await?);
    let mut out = io::stdout();
    for (name, version) in &provenance.versions {
        writeln!(out, "{name}: {version}")?;
    }
    let local = local_processes(servers)?;
    let names: Vec<_> = local.iter().map(|watched| watched.name).collect();
    writeln!(
        out,
        "servers on this machine, whose CPU time is counted: {}",
        names.join(", ")
    )?;
    Ok(provenance)
}
