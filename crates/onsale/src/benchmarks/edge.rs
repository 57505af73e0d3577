//! Orders accepted durably by processes that ask who comes, how often and over what, in turns with
//! one that asks nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use black_box::administration::Terms;
use black_box::deployment::Deployment;
use black_box::issuer::Issuer;
use black_box::program::Service;
use black_box::secured::Secured;
use clap::Args;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use super::backlog::decide_backlog;
use super::benchmark::{Benchmark, Setting, below};
use super::beside::{Load, Side};
use super::orders::{SEATS, names};
use super::proof::{Expected, Sold};
use super::redis_server::{REDIS, RedisServer};
use super::rounds::{Ratio, Round};
use crate::digits::grouped;
use crate::labels::API;
use crate::table::Table;

/// How it is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct EdgeArgs {
    /// edge: how often each process is measured, in turn.
    #[arg(long, default_value_t = 5)]
    pub(crate) edge_rounds: usize,
    /// edge: length of each measurement in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) edge_seconds: f64,
    /// edge: fails if orders with known tokens and limits, per order without, are fewer.
    #[arg(long, default_value_t = 0.85)]
    pub(crate) min_edge_ratio: f64,
}

/// What a process asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
enum Asks {
    /// Nothing: what the others are measured beside.
    Nothing,
    /// The token of a user, which it has verified before.
    KnownTokens,
    /// A token that it sees for the first time.
    NewTokens,
    /// As for [`Asks::KnownTokens`], and how often user and address have come.
    TokensAndLimits,
    /// As for [`Asks::KnownTokens`], and how often the user has come to any process, by Redis.
    TokensAndSharedLimits,
    /// HTTP/1.1 over TLS.
    Https,
}

/// Median of the rounds.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    asks: Asks,
    round: Round,
    beside_nothing: Ratio,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Edge {
    connections: usize,
    users: u32,
    ways: Vec<Figures>,
    accepted: u64,
}

impl Asks {
    const fn needs_tokens(self) -> bool {
        !matches!(self, Self::Nothing | Self::Https)
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "neither tokens nor limits, HTTP",
            Self::KnownTokens => "EdDSA tokens, verified before",
            Self::NewTokens => "EdDSA tokens, each seen for the first time",
            Self::TokensAndLimits => "EdDSA tokens, verified before; limits by user and address",
            Self::TokensAndSharedLimits => "EdDSA tokens, verified before; limits by user in Redis",
            Self::Https => "neither tokens nor limits, HTTPS",
        }
    }

    fn settings(self, secured: &Secured, redis_url: &str) -> BTreeMap<String, String> {
        // More than the load has, so that all orders are counted and none is refused.
        let of_user = ("limits.orders_per_user", "100/s");
        let of_address = ("limits.orders_per_address", "1000000/s");
        let (tokens, more) = match self {
            Self::Nothing | Self::Https => (BTreeMap::new(), vec![]),
            Self::KnownTokens | Self::NewTokens => (secured.tokens(), vec![]),
            Self::TokensAndLimits => (secured.tokens(), vec![of_user, of_address]),
            Self::TokensAndSharedLimits => {
                let store = ("limits.store", "redis");
                let more = vec![of_user, store, ("redis.url", redis_url)];
                (secured.tokens(), more)
            }
        };
        let more = more.into_iter();
        let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
        tokens.into_iter().chain(more).collect()
    }
}

impl Benchmark for Edge {
    type Args = EdgeArgs;

    const MARKER: Option<&'static str> = Some("edge");

    async fn measure(setting: &Setting<'_>, args: &EdgeArgs) -> anyhow::Result<Self> {
        let on =
            async |deployment: &Deployment| Box::pin(take_turns(setting, args, deployment)).await;
        setting.deploy(setting.users, on).await
    }

    fn table(&self) -> Table {
        let mut table = Table::of(
            "a process asks for | orders/s: | of the first row: | p50 ms: | p99 ms: | CPU µs/order",
        );
        for way in &self.ways {
            let beside = (way.asks != Asks::Nothing).then_some(way.beside_nothing);
            let name = [way.asks.words().to_owned()];
            table.row(name.into_iter().chain(way.round.cells(beside)));
        }
        table.note = format!(
            "{} connections, {} users; {} orders accepted, all decided, no other.",
            self.connections,
            grouped(u64::from(self.users)),
            grouped(self.accepted)
        );
        table
    }

    fn missed(&self, _: &Setting<'_>, args: &EdgeArgs) -> Vec<Option<String>> {
        let what = "edge: orders with known tokens and limits by those without";
        let ways = self.ways.iter();
        let limited = ways.filter(|way| way.asks == Asks::TokensAndLimits);
        limited
            .map(|way| below(what, way.beside_nothing.median, args.min_edge_ratio))
            .collect()
    }
}

/// A process that asks for something, with its turns.
struct Way {
    asks: Asks,
    service: Service,
    side: Side,
}

impl Way {
    /// Starts it, and has each of these tokens seen once if it asks for any.
    async fn start(
        asks: Asks,
        setting: &Setting<'_>,
        deployment: &Deployment,
        secured: &Secured,
        redis: &RedisServer,
        tokens: Vec<Rc<str>>,
    ) -> anyhow::Result<Self> {
        let mut program = deployment
            .program
            .with_settings(&asks.settings(secured, &redis.url()));
        if asks == Asks::Https {
            program = program.with_https(secured)?;
        }
        let service = program.serve("api").await?;
        if asks == Asks::Nothing {
            let terms = Terms::of(SEATS);
            service.target.put_on_sale(&names(), 1, terms).await?;
        }
        let mut side = Side::service(API, &service, setting.users, 202);
        if asks.needs_tokens() {
            let tokens = tokens.into_iter();
            side.orders.tokens = Some(Box::new(tokens.clone()));
            side.run_out(setting.connections).await?;
            side.orders.tokens = Some(Box::new(tokens.cycle()));
        } else {
            side.warm_up(setting.connections).await?;
        }
        Ok(Self {
            asks,
            service,
            side,
        })
    }
}

async fn take_turns(
    setting: &Setting<'_>,
    args: &EdgeArgs,
    deployment: &Deployment,
) -> anyhow::Result<Edge> {
    let load = Load {
        connections: setting.connections,
        time: Duration::try_from_secs_f64(args.edge_seconds).context("--edge-seconds")?,
        servers: &deployment.local_servers,
    };
    let secured = Secured::new()?;
    let redis = RedisServer::start().await?;
    let servers = [load.servers, &[redis.process.watched(REDIS)]].concat();
    let load = Load {
        servers: &servers,
        ..load
    };
    let users = u64::from(setting.users);
    let sign = |from: u64, count: u64| signed(&secured.issuer, users, from..from + count);
    let known = sign(0, users);
    let mut ways = Vec::new();
    for asks in Asks::VARIANTS {
        ways.push(Way::start(*asks, setting, deployment, &secured, &redis, known.clone()).await?);
    }
    for _ in 0..args.edge_rounds.max(1) {
        let mut most = 0;
        for Way { asks, side, .. } in &mut ways {
            if *asks == Asks::NewTokens {
                let tokens = sign(side.orders.sent, most);
                side.orders.tokens = Some(Box::new(tokens.into_iter()));
            }
            let before = side.answers;
            side.turn(&load).await?;
            most = most.max(side.answers - before);
        }
    }

    let (mut accepted, mut turns) = (Vec::new(), Vec::new());
    for Way {
        asks,
        service,
        mut side,
    } in ways
    {
        service.stop().await?;
        accepted.append(&mut side.orders.accepted);
        turns.push((asks, side.turns));
    }
    let orders = accepted.len() as u64;
    decide_backlog(deployment, orders, []).await?;
    let expected = Expected::confirmed(orders);
    Sold::of(&accepted).prove(deployment, 1, &expected).await?;

    let (_, nothing) = turns.first().cloned().context("nothing was measured")?;
    let ways = turns.into_iter().map(|(asks, turns)| {
        Ok(Figures {
            asks,
            beside_nothing: Ratio::of(&turns, &nothing)?,
            round: Round::median(turns)?,
        })
    });
    Ok(Edge {
        connections: load.connections,
        users: setting.users,
        ways: ways.collect::<anyhow::Result<_>>()?,
        accepted: orders,
    })
}

/// A new token for each of these orders, whose users are all of them in turn.
fn signed(issuer: &Issuer, users: u64, orders: Range<u64>) -> Vec<Rc<str>> {
    let names = names();
    let user = |order| u32::try_from(order % users).unwrap_or_default();
    let tokens = orders.map(|order| issuer.of_user(&names.user(user(order))).into());
    tokens.collect()
}
