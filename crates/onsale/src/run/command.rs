//! The command: what it is told, and what it writes.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use black_box::names::Names;
use black_box::secured::Secured;
use clap::Args;
use test_servers::Servers;

use super::ground::{Ground, On, RemoteArgs};
use super::sale::{Drawn, sell};
use crate::files;
use crate::provenance::Provenance;
use crate::report::html;
use crate::report::result::{Report, Setting};
use crate::scenario::sale::{Outline, Scenario};

/// How a scenario is run.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// The file of the scenario; docs/LOAD.md explains its fields.
    #[arg(long)]
    pub(crate) scenario: PathBuf,
    /// Uses the running deployment at this URL instead of starting the service.
    ///
    /// For example `http://localhost:3001` or `https://tickets.example`. The variable
    /// APP__ADMIN__TOKEN gives the token of administration. Where tokens are asked for, clients
    /// send those that --token-key signs, or else the agent's that ONSALE_AGENT_TOKEN gives.
    #[arg(long)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Starts the service with `auth.mode = jwt` and HTTPS, and clients use both.
    #[arg(long, conflicts_with = "url")]
    pub(crate) secured: bool,
    /// The queue and the store that the service is started on.
    #[arg(long, value_enum, default_value_t = On::Memory, conflicts_with = "url")]
    pub(crate) on: On,
    /// With --on services: the directory of servers that only this run uses.
    ///
    /// `SERVICES_STATE=DIRECTORY deploy/services.sh` starts them. Faults may kill them.
    #[arg(long, conflicts_with = "url")]
    pub(crate) own_servers: Option<PathBuf>,
    /// With --own-servers: the directory of a broker of three nodes that only this run uses.
    ///
    /// `CLUSTER_STATE=DIRECTORY deploy/cluster.sh start` starts it. The run uses it in place of
    /// the broker of --own-servers. Faults may break its nodes.
    #[arg(long, requires = "own_servers")]
    pub(crate) own_cluster: Option<PathBuf>,
    /// The seed of all random choices [default: a random one, which is reported].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Writes the result to this file, as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page with plots to this file, as HTML.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Writes the progress to stderr each second even if stderr is not a terminal.
    #[arg(long)]
    pub(crate) progress: bool,
    /// The program of the service [default: the `tickets` beside this binary].
    #[arg(long, conflicts_with = "url")]
    pub(crate) tickets_bin: Option<PathBuf>,
}

/// Runs a scenario, writes what is asked for, and prints what happened.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let (scenario, text) = Scenario::load(&args.scenario)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let names = Names::new(args.remote.users_exist.as_deref());
    let drawn = Drawn::of(&scenario, seed)?;
    let sell = async |ground: &Ground| {
        let outcome = Box::pin(sell(ground, &scenario, drawn, &names, args.progress)).await?;
        let setting = Setting {
            run: names.run().to_owned(),
            seed,
            on: ground.on.clone(),
            users_seconds: ground.users_seconds,
            provenance: Provenance::of(ground.versions.clone()),
        };
        Ok((outcome, setting))
    };
    let program = args.tickets_bin.clone();
    let secured = args.secured.then(Secured::new).transpose()?;
    let secured = secured.as_ref();
    let sold = match (&args.url, args.on) {
        (Some(url), _) => {
            Box::pin(Ground::at_url(url, &args.remote, &scenario, &names, sell)).await
        }
        (None, On::Memory) if args.own_servers.is_some() => {
            bail!("--own-servers is for --on services")
        }
        (None, On::Memory) => {
            let on = Ground::in_memory(program, secured, &scenario, &names, sell);
            Box::pin(on).await
        }
        (None, On::Services) => {
            let servers = match &args.own_servers {
                Some(folder) => Servers::own(folder, args.own_cluster.as_deref())?,
                None => Servers::find()?,
            };
            let on = Ground::on_services(&servers, program, secured, &scenario, &names, sell);
            Box::pin(on).await
        }
    };
    // Printed with the result, which there is none of then.
    let (outcome, setting) = sold.with_context(|| format!("the run of seed {seed}"))?;
    let outline = Outline::of(&scenario, &args.scenario, text);
    let report = Report::of(&scenario, outline, setting, &outcome);
    files::write_json(args.json.as_deref(), &report)?;
    if let Some(path) = &args.html {
        files::write(path, &html::page(&report))?;
    }
    write!(io::stdout(), "{report}")?;
    let failures = report.failures();
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}
