//! The subscriber: chosen once, at the start of a process.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// The log filter could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.level {filter:?} is not a level (error, warn, info, debug, trace) or a filter such as \"info,sealgate::ingress=debug\""
)]
pub struct InvalidFilter {
    filter: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging to standard error. A line that can not be written (a full disk) is lost, no more: told about it, the
/// library would print to standard error, and that panics. A second call in one process (tests do that) changes nothing.
///
/// # Errors
/// The filter is malformed.
pub fn init(log: &LogConfig) -> Result<(), InvalidFilter> {
    let filter = filter(&log.level)?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        let layer = fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .log_internal_errors(false)
            .with_writer(std::io::stderr);
        registry.with(layer).try_init()
    } else {
        let layer = fmt::layer()
            .with_target(false)
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        registry.with(layer).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// The filter for a level or a list of directives; libraries stay at `warn` unless named.
pub(super) fn filter(level: &str) -> Result<EnvFilter, InvalidFilter> {
    let directives = if level.contains(['=', ',']) {
        level.to_owned()
    } else {
        format!("warn,rustls=error,sealgate={level},sealgate_codec={level}")
    };
    EnvFilter::try_new(&directives).map_err(|source| InvalidFilter {
        filter: level.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_directives_are_filters_and_nonsense_is_not() {
        assert!(filter("debug").is_ok());
        assert!(filter("info,sealgate::ingress=trace").is_ok());
        assert!(filter("loud").is_err());
    }
}
