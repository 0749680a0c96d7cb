//! API tokens. The first one is written to the database directly: whoever may do that needs no token.

use sealgate_domain::{Millis, OrganizationId};
use serde_json::json;

use super::{
    Exit, Failure,
    api::Api,
    args::{Global, PageArgs, TokenArgs, TokenCommand},
    local::settings,
    out::{Out, confirm},
    table::Column,
};
use crate::{
    app::{
        Actor, AppError,
        access::{Scope, Scopes},
        token::NewToken,
    },
    clock::{Clock, SystemClock},
    config::Config,
    server,
};

const COLUMNS: [Column; 7] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("SCOPES", "scopes"),
    ("ORGANIZATION", "organization"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("REVOKED", "revoked_at"),
];

pub(super) async fn create(args: TokenArgs, global: &Global, out: &Out) -> Result<(), Failure> {
    let scopes = scopes(&args)?;
    let expires = args.days.map(|days| {
        let now = SystemClock::new().now();
        now.plus(i64::from(days) * 86_400_000)
    });
    if args.local {
        let config = settings(&args.settings, global.data.as_deref())?;
        let secret = create_local(&config, &args, scopes, expires).await?;
        return out.done(&secret, &json!({"secret": secret, "name": args.name}));
    }
    let names: Vec<&str> = scopes.iter().map(Scope::name).collect();
    let expires = expires.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
    let body = json!({
        "name": args.name,
        "scopes": names,
        "organization": args.organization,
        "expires_at": expires.map(|at| at.to_string()),
    });
    let made = Api::find(global)?.post("tokens", &body).await?;
    let secret = made
        .get("secret")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    out.done(secret, &made)
}

async fn create_local(
    config: &Config,
    args: &TokenArgs,
    scopes: Scopes,
    expires_at: Option<Millis>,
) -> Result<String, Failure> {
    if let Some(file) = config.database_file()
        && !file.exists()
    {
        return Err(Failure::new(
            Exit::Config,
            format!("there is no database at {}", file.display()),
        )
        .hint("name the gateway's settings with --config or its data folder with --data; `sealgate migrate` makes a new database"));
    }
    let app = server::open_app(config).await?;
    let new = NewToken {
        name: args.name.clone(),
        scopes,
        organization: args.organization.map(OrganizationId),
        expires_at,
    };
    let made = app.create_token(&Actor::cli(), new).await.map_err(failed);
    app.store().clone().close().await;
    Ok(made?.1)
}

/// A refusal of a use case that was called without the HTTP interface between.
pub(super) fn failed(error: AppError) -> Failure {
    let exit = match &error {
        AppError::NotFound(_) => Exit::NotFound,
        AppError::Conflict(_) | AppError::Stale { .. } => Exit::Conflict,
        AppError::Invalid { .. } => Exit::Usage,
        AppError::Denied { .. } | AppError::Unauthenticated(_) | AppError::Rule(_) => Exit::Refused,
        _ if error.is_outage() => Exit::Unreachable,
        _ => Exit::Failed,
    };
    Failure::of(exit, &error)
}

fn scopes(args: &TokenArgs) -> Result<Scopes, Failure> {
    if args.admin {
        return Ok(Scopes::all());
    }
    args.scopes
        .iter()
        .map(|name| {
            Scope::from_name(name).ok_or_else(|| {
                let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
                Failure::new(Exit::Usage, format!("{name:?} is not a scope"))
                    .hint(format!("scopes are {}", known.join(", ")))
            })
        })
        .collect()
}

pub(super) async fn other(
    command: TokenCommand,
    global: &Global,
    out: &Out,
) -> Result<(), Failure> {
    let api = Api::find(global)?;
    match command {
        TokenCommand::Create(_) => unreachable!("dispatched before"),
        TokenCommand::List => {
            let all = PageArgs {
                limit: 0,
                all: true,
            };
            out.list(&COLUMNS, &api.list("tokens", &[], &all).await?)
        }
        TokenCommand::Revoke { id } => {
            confirm(global.yes, &format!("Revoke token {id}?"))?;
            api.delete(&format!("tokens/{}", super::business::segment(&id)))
                .await?;
            out.done(&format!("{id}: revoked"), &json!({"revoked": id}))
        }
    }
}
