//! `openssl s_client`: which versions, which certificate, and what without a server name.

use super::harness::{Folder, Gateway, Pki, Setup, Upstream, open_route, quoted, run};
use super::listeners::tls_listener;

/// What `openssl s_client` tells of a handshake, and whether there was one.
fn shake(gateway: &Gateway, folder: &Folder, arguments: &[&str]) -> (bool, String) {
    let address = gateway.address().to_string();
    let root = folder.argument("root.pem");
    let mut all = vec!["s_client", "-connect", &address, "-CAfile", &root];
    all.extend(["-verify_return_error", "-brief"]);
    all.extend(arguments);
    let output = run("openssl", &all, b"");
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (told.contains("CONNECTION ESTABLISHED"), told)
}

fn one_certificate(further: &str) -> (Folder, Gateway) {
    let pki = Pki::new("servers");
    let folder = Folder::new();
    folder.write("root.pem", pki.root());
    let upstream = Upstream::plain();
    let gateway = Setup::default()
        .listeners(&tls_listener(&pki.server(&["api.test"]), further))
        .serve(&open_route(upstream.address(), ""));
    (folder, gateway)
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_older() {
    let (folder, gateway) = one_certificate("");
    for (arguments, version) in [
        (&["-tls1_2"][..], Some("TLSv1.2")),
        (&["-tls1_3"], Some("TLSv1.3")),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], None),
    ] {
        let name = ["-servername", "api.test", "-verify_hostname", "api.test"];
        let (is_made, told) = shake(&gateway, &folder, &[arguments, &name].concat());
        assert_eq!(is_made, version.is_some(), "{arguments:?}: {told}");
        assert!(version.is_none_or(|version| told.contains(version)), "{told}");
    }
    assert_eq!(gateway.events().len(), 2);
}

#[test]
fn a_listener_can_ask_for_tls_1_3() {
    let (folder, gateway) = one_certificate(", minimum: '1.3'");
    let name = ["-servername", "api.test"];
    assert!(shake(&gateway, &folder, &[&["-tls1_3"][..], &name].concat()).0);
    assert!(!shake(&gateway, &folder, &[&["-tls1_2"][..], &name].concat()).0);
}

#[test]
fn weak_key_exchanges_and_ciphers_are_not_spoken() {
    let (folder, gateway) = one_certificate("");
    for cipher in
        ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-SHA"]
    {
        let cipher = format!("{cipher}:@SECLEVEL=0");
        let (is_made, told) =
            shake(&gateway, &folder, &["-tls1_2", "-cipher", &cipher, "-servername", "api.test"]);
        assert!(!is_made, "{cipher}: {told}");
    }
}

#[test]
fn the_certificate_is_that_of_the_name() {
    let pki = Pki::new("servers");
    let folder = Folder::new();
    folder.write("root.pem", pki.root());
    let upstream = Upstream::plain();
    let ssls: Vec<String> = [("a", "a.test"), ("b", "b.test"), ("c", "*.wild.test")]
        .iter()
        .map(|(id, name)| {
            let issued = pki.server(&[name]);
            format!(
                "- {{id: {id}, snis: ['{name}'], cert: {}, key: {}}}\n",
                quoted(&issued.chain),
                quoted(issued.key.expose_str().unwrap())
            )
        })
        .collect();
    let gateway = Setup::default().listeners("{address: '127.0.0.1:0', tls: {}}").serve(&format!(
        "{}ssls:\n{}",
        open_route(upstream.address(), ""),
        ssls.concat()
    ));
    for name in ["a.test", "b.test", "B.TEST", "x.wild.test"] {
        let (is_made, told) =
            shake(&gateway, &folder, &["-servername", name, "-verify_hostname", name]);
        assert!(is_made, "{name}: {told}");
    }
    assert!(gateway.events().is_empty());
    for name in ["c.test", "wild.test", "x.y.wild.test", "xa.test"] {
        let (is_made, told) = shake(&gateway, &folder, &["-servername", name]);
        assert!(!is_made, "{name}: {told}");
    }
    assert_eq!(gateway.events().len(), 4);
}

#[test]
fn without_a_name_there_is_no_certificate_unless_one_is_the_default() {
    let (folder, gateway) = one_certificate("");
    let (is_made, told) = shake(&gateway, &folder, &["-noservername"]);
    assert!(!is_made, "{told}");
    assert_eq!(gateway.only_event()["reason"], "tls.handshake_failed");

    let pki = Pki::new("servers");
    let folder = Folder::new();
    folder.write("root.pem", pki.root());
    let upstream = Upstream::plain();
    let listener = tls_listener(&pki.server(&["api.test"]), "").replace("}]", ", default: true}]");
    let gateway = Setup::default().listeners(&listener).serve(&open_route(upstream.address(), ""));
    let (is_made, told) = shake(&gateway, &folder, &["-noservername"]);
    assert!(is_made, "{told}");
}

#[test]
fn the_protocol_is_chosen_by_alpn() {
    let (folder, gateway) = one_certificate("");
    for (offer, chosen) in [("h2", "h2"), ("http/1.1", "http/1.1"), ("http/1.1,h2", "h2")] {
        let address = gateway.address().to_string();
        let root = folder.argument("root.pem");
        let arguments = ["s_client", "-connect", &address, "-CAfile", &root, "-alpn", offer];
        let output = run("openssl", &[&arguments[..], &["-servername", "api.test"]].concat(), b"");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(&format!("ALPN protocol: {chosen}")), "{offer}: {told}");
    }
}
