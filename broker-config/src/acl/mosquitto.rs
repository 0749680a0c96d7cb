//! Configuration of a mosquitto 2 with the rights of our front.
//!
//! The certificate's common name becomes the user name, and on the seals' listener the client id as well, so a newer
//! session of a device ends the older one. mosquitto does not refuse subscriptions by ACL file: it delivers nothing
//! that the subscriber may not read, which is the same to the outside.

use super::{ConfigFile, DOWN, UP};
use crate::{Error, settings::Cluster};

/// `mosquitto.conf` and `sealgate.acl`; `folder` is where they will lie.
///
/// # Errors
/// The settings hold what can not stand in these files.
pub fn files(cluster: &Cluster, folder: &str) -> Result<Vec<ConfigFile>, Error> {
    cluster.check()?;
    Ok(vec![
        ConfigFile {
            name: "mosquitto.conf",
            content: config(cluster, folder),
        },
        ConfigFile {
            name: "sealgate.acl",
            content: acl(cluster),
        },
    ])
}

fn config(cluster: &Cluster, folder: &str) -> String {
    let limits = &cluster.limits;
    let mut out = format!(
        "# Seals and gateway nodes of a Sealgate fleet. Rights are in sealgate.acl.\n\
         per_listener_settings true\n\
         persistence false\n\
         max_packet_size {}\n\
         max_keepalive {}\n\
         max_inflight_messages 16\n\
         max_queued_messages 100\n",
        limits.max_packet_bytes, limits.max_keep_alive_s,
    );
    for (title, port, seals) in [
        ("Seals", cluster.seal_port, true),
        ("Gateway nodes", cluster.gateway_port, false),
    ] {
        out.push_str(&format!(
            "\n# {title}\n\
             listener {port}\n\
             cafile {}\n\
             certfile {}\n\
             keyfile {}\n\
             tls_version tlsv1.2\n\
             require_certificate true\n\
             use_identity_as_username true\n\
             allow_anonymous false\n\
             acl_file {folder}/sealgate.acl\n\
             max_qos 1\n",
            cluster.tls.ca.display(),
            cluster.tls.cert.display(),
            cluster.tls.key.display(),
        ));
        if seals {
            out.push_str("use_username_as_clientid true\n");
        }
    }
    out
}

fn acl(cluster: &Cluster) -> String {
    let mut out =
        String::from("# Gateway nodes: read what seals send, write what seals receive.\n");
    out.push_str(&format!("user {}\n", cluster.gateway_user));
    for kind in UP {
        out.push_str(&format!("topic read s1/+/{kind}\n"));
    }
    for kind in DOWN {
        out.push_str(&format!("topic write s1/+/{kind}\n"));
    }
    out.push_str("\n# A seal: its own topics only; %u is the common name of its certificate.\n");
    for kind in UP {
        out.push_str(&format!("pattern write s1/%u/{kind}\n"));
    }
    for kind in DOWN {
        out.push_str(&format!("pattern read s1/%u/{kind}\n"));
    }
    out
}
