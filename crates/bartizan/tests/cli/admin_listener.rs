//! The listener of the Admin API: TLS, who may connect, browsers, and attempts with wrong keys.

use std::time::Duration;

use bartizan_core::Clock;
use bartizan_tls::{Authority, Issued, KeyKind, Validity};

use crate::driver::Bench;
use crate::tried::{Heard, Tried, curl, node};

fn authority() -> Authority {
    Authority::create("test", validity()).unwrap()
}

fn validity() -> Validity {
    Validity::starting(Clock::System.now(), Duration::from_secs(24 * 3_600))
}

fn write(bench: &Bench, name: &str, issued: &Issued) {
    bench.write(&format!("{name}.key"), issued.key.expose_str().unwrap());
    bench.write(&format!("{name}.pem"), &issued.chain);
}

/// A folder with a node whose Admin API has a certificate.
fn with_tls(server: &Authority, more: &str) -> Bench {
    let tls = format!(", tls: {{ cert: admin.pem, key: admin.key{more} }}");
    let bench = Bench::with(&[("bartizan.yaml", &node(&tls)), ("root.pem", &server.certificate())]);
    show(&bench, server);
    bench
}

/// A certificate of that authority for the Admin API.
fn show(bench: &Bench, server: &Authority) {
    let issued = server.issue_server(&["127.0.0.1"], validity(), KeyKind::EcP256).unwrap();
    write(bench, "admin", &issued);
}

/// Asks for routes over TLS, trusting the root in a file.
fn ask(tried: &Tried, root: &str, more: &[&str]) -> Heard {
    let url = format!("https://{}/apisix/admin/routes", tried.serving.admin.unwrap());
    let root = tried.bench.path(root).display().to_string();
    curl(&[&["--cacert", &root, &url], more].concat(), "")
}

#[test]
fn other_machines_are_served_over_tls_alone() {
    let admin = "admin: { listen: \"0.0.0.0:0\" }\n";
    let text =
        node("").replace("admin: { listen: \"127.0.0.1:0\", keys: keys, socket: sock }\n", admin);
    assert!(text.contains(admin), "{text}");
    let bench = Bench::with(&[("bartizan.yaml", &text)]);
    for command in ["check", "run"] {
        let told = bench.bartizan(&[command]).fails_with(2);
        assert!(told.contains("other machines can reach the address"), "{told}");
        assert!(told.contains("at admin.listen"), "{told}");
    }
}

#[test]
fn clients_show_a_certificate_where_one_is_asked_for_and_a_key_all_the_same() {
    let (server, clients, others) = (authority(), authority(), authority());
    let bench = with_tls(&server, ", client_ca: clients.pem");
    bench.write("clients.pem", &clients.certificate());
    write(&bench, "known", &clients.issue_client("ops", &[], validity()).unwrap());
    write(&bench, "unknown", &others.issue_client("ops", &[], validity()).unwrap());
    let tried = Tried::of(bench);
    let path = |name: &str| tried.bench.path(name).display().to_string();
    let shown = |name: &str| {
        [
            "--cert".to_owned(),
            path(&format!("{name}.pem")),
            "--key".into(),
            path(&format!("{name}.key")),
        ]
    };
    let key = format!("X-API-KEY: {}", tried.root);
    for (client, has_key, expected) in [
        (None, true, 0),
        (Some("unknown"), true, 0),
        (Some("known"), false, 401),
        (Some("known"), true, 200),
    ] {
        let client = client.map(shown).into_iter().flatten().collect::<Vec<_>>();
        let mut arguments: Vec<&str> = client.iter().map(String::as_str).collect();
        if has_key {
            arguments.extend(["-H", &key]);
        }
        let heard = ask(&tried, "root.pem", &arguments);
        assert_eq!(heard.status, expected, "{client:?} {}", heard.head);
    }
    // Without TLS nobody is understood.
    let plain = format!("http://{}/apisix/admin/routes", tried.serving.admin.unwrap());
    assert_eq!(curl(&[&plain, "-H", &key], "").status, 0);
    assert!(tried.serving.stop().success());
}

#[test]
fn a_certificate_that_is_exchanged_is_shown_without_a_restart() {
    let (first, second) = (authority(), authority());
    let bench = with_tls(&first, "");
    let mut tried = Tried::of(bench);
    let key = format!("X-API-KEY: {}", tried.root);
    let is_served = |tried: &Tried, root: &str| ask(tried, root, &["-H", &key]).status == 200;
    tried.bench.write("second.pem", &second.certificate());
    assert!(is_served(&tried, "root.pem") && !is_served(&tried, "second.pem"));
    // One that does not belong to the key is not shown.
    let issued = second.issue_server(&["127.0.0.1"], validity(), KeyKind::EcP256).unwrap();
    tried.bench.write("admin.pem", &issued.chain);
    tried.serving.log_line("the certificate of `admin` stays as it was");
    assert!(is_served(&tried, "root.pem"));
    show(&tried.bench, &second);
    loop {
        tried.serving.log_line("reloaded");
        if is_served(&tried, "second.pem") {
            break;
        }
    }
    assert!(!is_served(&tried, "root.pem"));
    assert!(tried.serving.stop().success());
}

#[test]
fn addresses_that_are_not_listed_get_403_or_no_handshake() {
    let allow = ", allow: [192.0.2.0/24]";
    let tried = Tried::of(Bench::with(&[("bartizan.yaml", &node(allow))]));
    let key = format!("X-API-KEY: {}", tried.root);
    for (method, path, field) in [
        ("GET", "/apisix/admin/routes", key.as_str()),
        ("HEAD", "/apisix/admin", ""),
        ("OPTIONS", "/apisix/admin/routes", "Origin: https://a.test"),
    ] {
        let fields: Vec<&str> = [field].into_iter().filter(|field| !field.is_empty()).collect();
        let head = if method == "HEAD" { vec!["--head"] } else { vec!["-X", method] };
        let url = format!("http://{}{path}", tried.serving.admin.unwrap());
        let with: Vec<&str> = fields.iter().flat_map(|field| ["-H", *field]).collect();
        let heard = curl(&[&head[..], &with[..], &[url.as_str()][..]].concat(), "");
        assert_eq!(heard.status, 403, "{method} {path}: {}", heard.head);
    }
    assert!(tried.serving.stop().success());
    let server = authority();
    let bench = with_tls(&server, "");
    bench.replace("bartizan.yaml", "socket: sock", "socket: sock, allow: [192.0.2.0/24]");
    let tried = Tried::of(bench);
    let key = format!("X-API-KEY: {}", tried.root);
    assert_eq!(ask(&tried, "root.pem", &["-H", &key]).status, 0);
    assert!(tried.serving.stop().success());
}

#[test]
fn pages_of_listed_origins_alone_may_call() {
    let cors = ", cors: [\"https://a.test\"]";
    let listed = Tried::of(Bench::with(&[("bartizan.yaml", &node(cors))]));
    let none = Tried::new();
    let method = "Access-Control-Request-Method: PATCH";
    let of = |heard: &Heard, name: &str| {
        heard.field(&format!("Access-Control-{name}")).map(str::to_owned)
    };
    for (tried, origin, is_let) in [
        (&listed, "https://a.test", true),
        (&listed, "https://a.test.evil.test", false),
        (&listed, "http://a.test", false),
        (&listed, "https://A.test", false),
        (&listed, "null", false),
        (&none, "https://a.test", false),
        (&none, "null", false),
    ] {
        let field = format!("Origin: {origin}");
        let path = "/apisix/admin/routes/1";
        let preflight = tried.send("OPTIONS", path, &[&field, method], None);
        // Whoever shows no key often is delayed.
        let is_fit =
            if is_let { preflight.status == 204 } else { matches!(preflight.status, 401 | 429) };
        assert!(is_fit, "{origin}: {}", preflight.head);
        let allowed = of(&preflight, "Allow-Origin");
        assert_eq!(allowed.as_deref(), is_let.then_some("https://a.test"), "{origin}");
        let methods = of(&preflight, "Allow-Methods");
        assert_eq!(methods.is_some_and(|text| text.contains("PATCH")), is_let, "{origin}");
        let fields = of(&preflight, "Allow-Headers");
        assert_eq!(fields.is_some_and(|text| text.contains("X-API-KEY")), is_let, "{origin}");
        // Pages read refusals too, or they could not tell why.
        let key = format!("X-API-KEY: {}", tried.root);
        for (key, statuses) in [(key.as_str(), [404, 404]), ("X-API-KEY: wrong", [401, 429])] {
            let heard = tried.send("GET", path, &[&field, key], None);
            assert!(statuses.contains(&heard.status), "{origin}: {}", heard.head);
            let allowed = of(&heard, "Allow-Origin");
            assert_eq!(allowed.as_deref(), is_let.then_some("https://a.test"), "{origin}");
            let exposed = of(&heard, "Expose-Headers");
            assert_eq!(exposed.is_some_and(|text| text.contains("ETag")), is_let, "{origin}");
            assert_eq!(of(&heard, "Allow-Credentials"), None, "{origin}");
            let is_listing = std::ptr::eq(tried, &raw const listed);
            assert_eq!(heard.field("Vary"), is_listing.then_some("Origin"), "{origin}");
        }
    }
    assert!(listed.serving.stop().success() && none.serving.stop().success());
}

#[test]
fn wrong_keys_are_delayed_and_told_and_good_ones_pass_meanwhile() {
    let tried = Tried::new();
    let guess = |n: usize| {
        let key = format!("X-API-KEY: btz_admin_{n:08}_guess");
        tried.send("GET", "/apisix/admin/routes", &[&key], None)
    };
    let first: Vec<u16> = (0..5).map(|n| guess(n).status).collect();
    assert_eq!(first, [401; 5]);
    // The delay grows, so that one of these comes within it however slow this is.
    let delayed = (5..100).map(guess).find(|heard| heard.status != 401).unwrap();
    assert_eq!((delayed.status, delayed.field("Retry-After").is_some()), (429, true));
    let (status, _) = tried.call(&tried.root, "GET", "/apisix/admin/routes", None);
    assert_eq!(status, 200, "who has a good key is locked out by nobody");
    assert!(tried.serving.stop().success());
    let log = tried.bench.read("audit.jsonl");
    assert!(log.contains("\"admin.key_refused\"") && log.contains("\"admin.throttled\""), "{log}");
    assert!(!log.contains("_guess"), "{log}");
}
