//! A long run of requests that store nothing: memory must not grow.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use black_box::administration::Terms;
use black_box::http::{Head, Response};
use black_box::load::{Requests, drive};
use black_box::program::Program;
use clap::Args;
use tokio::time::sleep;

use super::memory::start;

/// Allocators keep what threads gave back; that settles within this.
const TOLERANCE_KIB: u64 = 4 * 1_024;

/// How the soak goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct SoakArgs {
    /// Length of the run in seconds, at least 6.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// The number of keep-alive connections.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// The program of the service [default: the `tickets` beside this binary].
    #[arg(long)]
    pub(crate) tickets_bin: Option<PathBuf>,
}

/// Runs the soak and prints what happened.
pub(crate) async fn run(args: SoakArgs) -> anyhow::Result<()> {
    ensure!(args.seconds >= 6, "--seconds must be at least 6");
    // It asks for more wrong ids than one address may.
    let no_limit = ("limits.wrong_ids_per_address".to_owned(), String::new());
    let program = Program::in_memory(args.tickets_bin)?.with_settings(&[no_limit].into());
    let terms = Terms {
        max_per_user: 1,
        ..Terms::of(10)
    };
    let service = start(&program, terms, 10).await?;
    let time = Duration::from_secs(args.seconds);
    let samples = RefCell::new(Vec::new());
    let mut requests = Barren::default();
    let measured = {
        let load = drive(
            service.address(),
            args.connections,
            Some(time),
            &mut requests,
        );
        tokio::pin!(load);
        let started = Instant::now();
        loop {
            tokio::select! {
                measured = &mut load => break measured?,
                () = sleep(Duration::from_millis(500)) => {
                    samples
                        .borrow_mut()
                        .push((started.elapsed(), service.process.resident_kib()?));
                }
            }
        }
    };
    let samples = samples.into_inner();
    let most = |from: Duration, until: Duration| {
        let within = samples.iter().filter(|(at, _)| (from..until).contains(at));
        within.map(|(_, kib)| *kib).max().unwrap_or_default()
    };
    let early = most(Duration::ZERO, time / 3);
    let late = most(time * 2 / 3, time * 2);
    writeln!(
        io::stdout(),
        "soak: {} requests in {} s, answers {:?}\n\
         resident: at most {early} KiB in the first third, {late} KiB in the last",
        measured.answers(),
        args.seconds,
        measured.by_status
    )?;
    service.stop().await?;
    if requests.unexpected > 0 {
        bail!("{} answers were not as expected", requests.unexpected);
    }
    if late > early + TOLERANCE_KIB {
        bail!("memory grew by {} KiB", late - early);
    }
    Ok(())
}

/// Requests that are refused or only read, in turn.
#[derive(Default)]
struct Barren {
    sent: usize,
    unexpected: u64,
}

/// Method, path and body of each kind, in which `*` is its number in hexadecimal digits, and
/// the status that it must be answered with.
const KINDS: [(&str, &str, &str, u16); 8] = [
    (
        "POST",
        "/tickets",
        r#"{"show_id":"none-*","user_id":"1"}"#,
        404,
    ),
    (
        "POST",
        "/tickets",
        r#"{"show_id":"onsale-s0","user_id":"none-*"}"#,
        404,
    ),
    ("GET", "/tickets/00000000-0000-8000-8000-*", "", 404),
    ("POST", "/tickets", "not JSON *", 400),
    (
        "POST",
        "/tickets",
        r#"{"show_id":"onsale-s0","seat":"*"}"#,
        422,
    ),
    ("GET", "/shows/onsale-s0", "", 200),
    ("GET", "/tickets?user_id=1", "", 200),
    ("GET", "/health/ready", "", 200),
];

impl Requests for Barren {
    /// The expected status.
    type Mark = u16;

    fn next(&mut self, request: &mut Vec<u8>) -> Option<u16> {
        let (method, path, body, expected) = KINDS[self.sent % KINDS.len()];
        let number = format!("{:012x}", self.sent);
        let [path, body] = [path, body].map(|text| text.replace('*', &number));
        Head::new(method, &path).write(request, &body);
        self.sent += 1;
        Some(expected)
    }

    fn answered(&mut self, expected: u16, response: Response<'_>) {
        if response.status != expected {
            self.unexpected += 1;
        }
    }
}
