//! Keys and certificates: files only, no gateway needed.

use std::path::{Path, PathBuf};

use sealgate_broker_config::{
    DAY,
    ca::FleetCa,
    device::{self, Order},
    files,
    keys::{KeyDir, KeyScope, KeyTable, Rotation, read_seed},
};
use serde_json::{Value, json};

use super::{
    Exit, Failure,
    api::{Api, DATA},
    args::{CaCommand, Global, IssueArgs, KeyCommand, RenewArgs, RotateArgs},
    business::segment,
    local::now,
    out::{Out, progress},
    table::Column,
};
use crate::signer::keys::sign_key_set;

const KEYS: [Column; 4] = [
    ("KID", "kid"),
    ("SCOPE", "scope"),
    ("ACTIVE FROM", "active_from"),
    ("NOT AFTER", "not_after"),
];

pub(super) fn key(command: KeyCommand, out: &Out) -> Result<(), Failure> {
    match command {
        KeyCommand::Init { dir, days } => {
            let keys = KeyDir::new(&dir);
            let table = keys.init(now(), days * DAY, &sign_key_set)?;
            let facts = json!({"dir": dir, "version": table.version, "keys": table.entries.len()});
            out.done(
                &format!(
                    "{} signing keys in {}. Keep {} elsewhere: only `key rotate` needs it.",
                    table.entries.len(),
                    dir.display(),
                    keys.root_key().display()
                ),
                &facts,
            )
        }
        KeyCommand::Rotate(args) => rotate(&args, out),
        KeyCommand::Show { dir } => {
            let keys = KeyDir::new(&dir);
            let items = shown(&keys.table()?);
            if out.is_json() {
                let root = data_encoding::HEXLOWER.encode(&keys.root_public()?);
                let table = keys.table()?;
                return out.one(&json!({"version": table.version, "root": root, "keys": items}));
            }
            out.list(&KEYS, &items)
        }
    }
}

fn rotate(args: &RotateArgs, out: &Out) -> Result<(), Failure> {
    let keys = KeyDir::new(&args.dir);
    let scopes = if args.all {
        KeyScope::ALL.to_vec()
    } else {
        args.scope
            .iter()
            .map(|scope| scope.parse())
            .collect::<Result<Vec<KeyScope>, _>>()?
    };
    let root = args.root.clone().unwrap_or_else(|| keys.root_key());
    let root = read_seed(&root)?;
    let rotation = Rotation {
        activate_after: args.activate_after * DAY,
        overlap: args.overlap * DAY,
        life: args.days * DAY,
    };
    let table = keys.rotate(&scopes, rotation, &root, now(), &sign_key_set)?;
    let facts = json!({"version": table.version, "keys": shown(&table)});
    out.done(
        &format!(
            "key set {} written; the new keys sign in {} days. Tell the signer: kill -HUP its process; seals get the set from the gateway.",
            table.version, args.activate_after
        ),
        &facts,
    )
}

fn shown(table: &KeyTable) -> Vec<Value> {
    table
        .entries
        .iter()
        .map(|entry| {
            json!({
                "kid": entry.kid,
                "scope": entry.scope.as_str(),
                "active_from": time(entry.active_from),
                "not_after": time(entry.not_after),
                "public": entry.public,
            })
        })
        .collect()
}

fn time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |time| time.to_string())
}

pub(super) fn ca(command: CaCommand, out: &Out) -> Result<(), Failure> {
    match command {
        CaCommand::Init { dir, names } => {
            FleetCa::init(&dir, &names, now())?;
            let facts = json!({"dir": dir, "names": names});
            out.done(
                &format!(
                    "development CA and server certificate for {} in {}",
                    names.join(", "),
                    dir.display()
                ),
                &facts,
            )
        }
        CaCommand::RenewServer { dir, names } => {
            let names = FleetCa::open(&dir)?.renew_server(&dir, &names, now())?;
            let facts = json!({"dir": dir, "names": names});
            out.done(
                &format!(
                    "server certificate replaced, for {}. Tell the gateway: kill -HUP its process; sessions stay.",
                    names.join(", ")
                ),
                &facts,
            )
        }
        CaCommand::Gateway {
            dir,
            name,
            out: folder,
        } => {
            let issued = FleetCa::open(&dir)?.gateway_client(&name, now())?;
            files::private_dir(&folder)?;
            let key = folder.join("gateway.key");
            let certificate = folder.join("gateway.pem");
            files::create(&key, issued.key_pem.as_bytes(), files::SECRET)?;
            files::create(
                &certificate,
                issued.certificate_pem.as_bytes(),
                files::PUBLIC,
            )?;
            let facts = json!({"certificate": certificate, "key": key, "name": name});
            out.done(
                &format!("{} and {}", certificate.display(), key.display()),
                &facts,
            )
        }
    }
}

/// The folder given, or the one of this name in the data folder.
fn folder(given: Option<&Path>, name: &str, global: &Global) -> PathBuf {
    match (given, &global.data) {
        (Some(given), _) => given.to_owned(),
        (None, Some(data)) => data.join(name),
        (None, None) => Path::new(DATA).join(name),
    }
}

/// The CA at hand. A second one would not help: a gateway believes in one only.
fn open_ca(dir: &Path) -> Result<FleetCa, Failure> {
    FleetCa::open(dir).map_err(|error| {
        Failure::from(error).hint(
            "name the folder of the CA the gateway uses with --ca, or its data folder with --data; \
             only where no gateway has one yet: `sealgate ca init --dir sealgate-data/pki`",
        )
    })
}

pub(super) fn issue(args: &IssueArgs, global: &Global, out: &Out) -> Result<(), Failure> {
    if args.count == 0 {
        return Err(Failure::new(Exit::Usage, "--count must be at least 1"));
    }
    let ca = open_ca(&folder(args.ca.as_deref(), "pki", global))?;
    let keys = folder(args.keys.as_deref(), "keys", global);
    let order = Order {
        count: args.count,
        model: &args.model,
        days: args.days,
        keys_dir: Some(&keys),
    };
    let bar = progress(Some(args.count as u64), "issuing");
    let issued = device::issue(&ca, &order, &args.out, now(), &mut |done| {
        bar.set_position(done as u64)
    })?;
    bar.finish_and_clear();
    let ids: Vec<&str> = issued.iter().map(|device| device.id.as_str()).collect();
    let facts = json!({"dir": args.out, "devices": ids});
    let sentence = match ids.as_slice() {
        [id] => format!("{id} in {}", args.out.display()),
        _ => format!("{} devices in {}", ids.len(), args.out.display()),
    };
    out.done(&sentence, &facts)?;
    if !KeyDir::new(&keys).exists() {
        eprintln!(
            "note: {} has no key set, so the devices got none",
            keys.display()
        );
    }
    Ok(())
}

pub(super) async fn renew(args: &RenewArgs, global: &Global, out: &Out) -> Result<(), Failure> {
    let ca = open_ca(&folder(args.ca.as_deref(), "pki", global))?;
    let made = now();
    let renewed = device::renew(&ca, &args.out, &args.id, args.days, made)?;
    let body = json!({
        "cert_sha256": renewed.cert_sha256,
        "cert_not_after": time(made + args.days * DAY),
    });
    let registered = register(&renewed.id, &body, global).await;
    let mut facts =
        serde_json::to_value(&renewed).map_err(|error| Failure::of(Exit::Failed, &error))?;
    facts["registered"] = json!(registered.is_ok());
    let place = match registered {
        Ok(()) => "registered; the old one stays good until the seal connects with it",
        Err(_) => "not registered",
    };
    out.done(
        &format!(
            "{}: renewed; certificate {} ({place})",
            renewed.id, renewed.cert_sha256
        ),
        &facts,
    )?;
    match registered {
        // Nobody named a gateway, and none runs here: the files are all that was asked for.
        Err(failure) if failure.exit == Exit::Unreachable && global.api.is_none() => {
            eprintln!(
                "note: no gateway took the certificate; before the seal gets it, run\n  POST /api/v1/devices/{}/certificate {body}",
                renewed.id
            );
            Ok(())
        }
        registered => registered,
    }
}

/// Tells the gateway of a new certificate.
async fn register(id: &str, body: &Value, global: &Global) -> Result<(), Failure> {
    let path = format!("devices/{}/certificate", segment(id));
    Api::find(global)?.post(&path, body).await.map(drop)
}
