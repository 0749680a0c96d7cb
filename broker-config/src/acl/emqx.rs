//! Configuration of an EMQX 5 cluster with the rights of our front.
//!
//! User name (and, for seals, client id) is the certificate's common name. What no rule allows is denied and the
//! client is disconnected.

use super::{ConfigFile, DOWN, UP};
use crate::{Error, settings::Cluster};

/// `acl.conf` (rules) and `emqx.conf` (a snippet to include); `folder` is where the rules will lie.
///
/// # Errors
/// The settings hold what can not stand in these files.
pub fn files(cluster: &Cluster, folder: &str) -> Result<Vec<ConfigFile>, Error> {
    cluster.check()?;
    Ok(vec![
        ConfigFile {
            name: "emqx.conf",
            content: config(cluster, folder),
        },
        ConfigFile {
            name: "acl.conf",
            content: acl(cluster),
        },
    ])
}

fn acl(cluster: &Cluster) -> String {
    let user = &cluster.gateway_user;
    let group = &cluster.share_group;
    let quote = |topics: Vec<String>| -> String {
        let quoted: Vec<String> = topics
            .iter()
            .map(|topic| format!("{{eq, \"{topic}\"}}"))
            .collect();
        quoted.join(", ")
    };
    let of = |pattern: &str, kinds: &[&str]| -> Vec<String> {
        kinds
            .iter()
            .map(|kind| format!("s1/{pattern}/{kind}"))
            .collect()
    };
    let mut shared = of("+", &UP);
    shared.extend(UP.iter().map(|kind| format!("$share/{group}/s1/+/{kind}")));
    let down: Vec<String> = of("+", &DOWN)
        .iter()
        .map(|topic| format!("\"{topic}\""))
        .collect();
    format!(
        "%% Gateway nodes: read what seals send (as one shared subscription), write what seals receive.\n\
         {{allow, {{username, {{eq, \"{user}\"}}}}, subscribe, [{}]}}.\n\
         {{allow, {{username, {{eq, \"{user}\"}}}}, publish, [{}]}}.\n\
         {{deny, {{username, {{eq, \"{user}\"}}}}, all, [\"#\"]}}.\n\
         \n\
         %% A seal: its own topics only; the user name is the common name of its certificate.\n\
         {{allow, all, publish, [{}]}}.\n\
         {{allow, all, subscribe, [{}]}}.\n\
         {{deny, all}}.\n",
        quote(shared),
        down.join(", "),
        quote(of("${username}", &UP)),
        quote(of("${username}", &DOWN)),
    )
}

fn config(cluster: &Cluster, folder: &str) -> String {
    let limits = &cluster.limits;
    let mut out = String::from(
        "# Seals and gateway nodes of a Sealgate fleet. Include this file in emqx.conf; rights are in acl.conf.\n",
    );
    out.push_str(&format!(
        "mqtt {{\n  max_packet_size = {}B\n  max_qos_allowed = 1\n  retain_available = false\n  \
         max_inflight = 16\n  session_expiry_interval = 0s\n}}\nretainer.enable = false\n\n",
        limits.max_packet_bytes
    ));
    for (zone, client_id) in [("seals", "cn"), ("gateways", "disabled")] {
        out.push_str(&format!(
            "zones.{zone}.mqtt {{\n  peer_cert_as_username = cn\n  peer_cert_as_clientid = {client_id}\n  \
             max_packet_size = {}B\n  max_qos_allowed = 1\n  retain_available = false\n  \
             server_keepalive = {}\n  wildcard_subscription = {}\n  shared_subscription = {}\n}}\n",
            limits.max_packet_bytes,
            limits.max_keep_alive_s,
            zone == "gateways",
            zone == "gateways",
        ));
    }
    for (zone, port) in [
        ("seals", cluster.seal_port),
        ("gateways", cluster.gateway_port),
    ] {
        out.push_str(&format!(
            "\nlisteners.ssl.{zone} {{\n  bind = {port}\n  zone = {zone}\n  enable_authn = false\n{}  \
             ssl_options {{\n    cacertfile = \"{}\"\n    certfile = \"{}\"\n    keyfile = \"{}\"\n    \
             verify = verify_peer\n    fail_if_no_peer_cert = true\n    versions = [\"tlsv1.3\", \"tlsv1.2\"]\n  }}\n}}\n",
            if zone == "seals" {
                format!("  messages_rate = \"{}/s\"\n", limits.device_rate)
            } else {
                String::new()
            },
            cluster.tls.ca.display(),
            cluster.tls.cert.display(),
            cluster.tls.key.display(),
        ));
    }
    out.push_str(&format!(
        "\nauthorization {{\n  no_match = deny\n  deny_action = disconnect\n  cache.enable = true\n  sources = [\n    \
         {{ type = file, enable = true, path = \"{folder}/acl.conf\" }}\n  ]\n}}\n"
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Limits, ListenerTls};

    fn cluster() -> Cluster {
        Cluster {
            seal_port: 8883,
            gateway_port: 8885,
            tls: ListenerTls {
                ca: "/etc/x/ca.pem".into(),
                cert: "/etc/x/s.pem".into(),
                key: "/etc/x/s.key".into(),
            },
            gateway_user: "sealgate".to_owned(),
            share_group: "sealgate".to_owned(),
            limits: Limits::default(),
        }
    }

    #[test]
    fn the_rules_end_with_a_denial_and_name_only_topics_of_seals() {
        let files = files(&cluster(), "/etc/emqx").unwrap();
        let acl = &files[1].content;
        assert!(acl.trim_end().ends_with("{deny, all}."));
        assert!(acl.contains(
            r#"{allow, all, subscribe, [{eq, "s1/${username}/d"}, {eq, "s1/${username}/b"}]}."#
        ));
        assert!(
            acl.contains(
                r#"{allow, {username, {eq, "sealgate"}}, publish, ["s1/+/d", "s1/+/b"]}."#
            )
        );
        for line in acl.lines().filter(|line| line.starts_with("{allow")) {
            assert!(!line.contains('#'), "{line}");
        }
        let config = &files[0].content;
        assert_eq!(config.matches('{').count(), config.matches('}').count());
        assert!(
            config.contains("no_match = deny") && config.contains("fail_if_no_peer_cert = true")
        );
    }

    #[test]
    fn nothing_that_needs_quoting_gets_into_the_files() {
        for change in [
            |c: &mut Cluster| c.gateway_user = "a\"}. {allow, all".to_owned(),
            |c: &mut Cluster| c.share_group = "a/+".to_owned(),
            |c: &mut Cluster| c.tls.ca = "relative.pem".into(),
            |c: &mut Cluster| c.tls.key = "/a\nallow_anonymous true".into(),
            |c: &mut Cluster| c.gateway_port = 8883,
        ] {
            let mut cluster = cluster();
            change(&mut cluster);
            assert!(files(&cluster, "/etc/emqx").is_err());
        }
    }
}
