//! `sealgate-demo`: everything on one machine, nothing to install.
//!
//! One process tree: this process, a gateway and (in the day that never stops) a fleet of simulated seals. The children
//! are this program again: called by the name `sealgate` it is the gateway's own command line, so what runs here is
//! what runs in production, and killing it is killing a real process.

mod api;
mod cast;
mod child;
mod day;
mod forever;
mod gateway;
mod office;
mod prepare;
mod roles;
mod seals;
mod verdict;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;

/// The gateway, fifty simulated seals and an office day, on this machine alone.
#[derive(Debug, Parser)]
#[command(name = "sealgate-demo", version)]
pub(crate) struct Args {
    /// Play one scripted day with faults, compare, and exit.
    #[arg(long)]
    once: bool,
    /// Print the summary as one line of JSON.
    #[arg(long, requires = "once")]
    json: bool,
    /// Seed of everything random; drawn and printed when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Where everything is kept: ./sealgate-data, or a temporary folder with --once.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many seals.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(12..=50))]
    seals: u16,
}

fn main() -> ExitCode {
    if child::called_sealgate() {
        child::leave_with_parent();
        return sealgate::cli::main();
    }
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == seals::WORD) {
        return run(seals::run(words.collect()));
    }
    let args = Args::parse();
    if args.once {
        run(once(args))
    } else {
        run(forever::run(args))
    }
}

fn run(work: impl Future<Output = anyhow::Result<bool>>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    // The HTTP client wants a provider even where it speaks plain HTTP; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let done = runtime.block_on(work);
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            done
        });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("sealgate-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One scripted day; true when nothing was lost, doubled or misclassified.
async fn once(args: Args) -> anyhow::Result<bool> {
    let seed = args.seed.unwrap_or_else(|| rand::random::<u32>().into());
    eprintln!("seed {seed}");
    let json = args.json;
    let summary = day::play(&args, seed).await?;
    for words in &summary.told {
        eprintln!("{words}");
    }
    let mut out = std::io::stdout();
    let text = if json {
        serde_json::to_string(&summary)?
    } else {
        serde_json::to_string_pretty(&summary)?
    };
    writeln!(out, "{text}")?;
    Ok(summary.good())
}
