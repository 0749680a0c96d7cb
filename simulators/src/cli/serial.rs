//! `sealgate-sim serial`: echoing seals on pseudo-terminals.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use sealgate_simulators::{
    peripheral::Echo,
    serial::{Noise, SerialLine},
};

use super::{end, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the paths, which must exist.
    #[arg(long)]
    folder: PathBuf,
    /// How many lines.
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// Share of bytes in which a bit is turned over.
    #[arg(long, default_value_t = 0.0)]
    flip: f64,
    /// Share of bytes that are lost.
    #[arg(long, default_value_t = 0.0)]
    lose: f64,
    /// Pause after each byte.
    #[arg(long, default_value = "0ms", value_parser = crate::duration)]
    pace: Duration,
    /// Seed of the noise; drawn and printed when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// End after this time; otherwise when told to.
    #[arg(long, value_parser = crate::duration)]
    duration: Option<Duration>,
}

/// Prints one path a line.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let mut lines = Vec::new();
    for number in 1..=args.count {
        let path = args.folder.join(format!("seal-{number}"));
        let line = SerialLine::start(&path, Box::new(Echo::default()), seed ^ u64::from(number))
            .with_context(|| format!("no line at {}", path.display()))?;
        line.set_noise(Noise {
            flip: args.flip,
            lose: args.lose,
            insert: 0.0,
        });
        line.set_pace(args.pace);
        say(&path.display().to_string())?;
        lines.push(line);
    }
    end(args.duration).await?;
    Ok(())
}
