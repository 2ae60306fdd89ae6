//! The dashboard in a browser, and at the edges that no browser shows.

mod town;

use std::path::PathBuf;

use bartizan_testkit::{Browser, Press, npm_package};
use serde_json::Value;

use crate::driver::{Bench, Serving, exchange};
use crate::stores::{node, status as status_of};

/// Where pictures of the pages are written, for who wants to look at them.
const SHOTS: &str = "BARTIZAN_SHOTS";

/// Every page that an admin sees.
const PAGES: [&str; 6] = ["Overview", "Routes", "Quarantine", "Revisions", "Denials", "Upstreams"];

/// Texts on the ground that they stand on, with less contrast than WCAG 2.2 (1.4.3) asks for.
const FAINT: &str = r"(() => {
  const rgb = text => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim()) continue;
    const pair = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) found.push(walk.currentNode.data.trim() + ' ' + ratio.toFixed(2));
  }
  return found;
})()";

struct Scene {
    bench: Bench,
    serving: Serving,
    browser: Browser,
}

impl Scene {
    fn open() -> Self {
        let bench = town::bench();
        let serving = bench.serve(&["run"]);
        let browser = Browser::start();
        Self { bench, serving, browser }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.serving.admin.unwrap())
    }

    /// Makes a key of this role.
    fn key(&self, name: &str, role: &str) -> String {
        let command = ["admin", "key", "create", "--name", name, "--role", role, "--expires", "1d"];
        self.bench.bartizan(&command).succeeds().lines().next().unwrap().trim().to_owned()
    }

    /// Signs in by the form, as people do by the keyboard.
    fn sign_in(&mut self, key: &str) {
        let url = self.url("/ui/");
        self.browser.open(&url);
        self.browser.tab_to("key");
        self.browser.type_text(key);
        self.browser.leave(|browser| browser.press(Press::Enter));
    }

    /// Follows a link by the keyboard.
    fn go(&mut self, name: &str) {
        self.browser.tab_to(name);
        self.browser.leave(|browser| browser.press(Press::Enter));
    }

    /// What a checker of accessibility finds that others wrote (axe-core, from npm).
    fn have_checked(&mut self) {
        let Some(axe) = npm_package("axe-core") else { return };
        let script = std::fs::read_to_string(axe.join("axe.min.js")).unwrap();
        self.browser.evaluate(&format!("{script}; 0"));
        let found = self.browser.evaluate(
            "axe.run({ preload: false }).then(told => told.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html)))",
        );
        assert_eq!(found, Value::Array(Vec::new()));
    }

    /// What holds for every page.
    fn judge_page(&mut self) {
        self.have_checked();
        let title = self.browser.evaluate("document.title");
        let nodes = self.browser.accessible();
        let named =
            ["link", "button", "textbox", "searchbox", "combobox", "region", "navigation", "table"];
        for node in nodes.iter().filter(|node| named.contains(&&*node.role)) {
            assert!(!node.name.is_empty(), "{title}: a {} without a name", node.role);
        }
        let levels: Vec<u64> =
            nodes.iter().filter(|n| n.role == "heading").filter_map(|n| n.level).collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{title}: {levels:?}");
        assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{title}: {levels:?}");
        assert!(nodes.iter().any(|node| node.role == "main"), "{title}");
        assert_eq!(self.browser.evaluate("document.documentElement.lang"), "en");
        for scheme in ["light", "dark"] {
            self.browser.prefer(scheme);
            let faint = self.browser.evaluate(FAINT);
            assert_eq!(faint, Value::Array(Vec::new()), "{title}, {scheme}");
        }
        self.browser.resize(400, 800);
        let wide = self.browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= 400, "{title} is {wide} wide on 400");
        self.browser.resize(1400, 900);
        self.browser.prefer("light");
    }

    /// Looks for routes by the form, as people do by the keyboard.
    fn search(&mut self) {
        self.go("Routes");
        self.browser.tab_to("q");
        self.browser.type_text("DEPOT");
        self.browser.leave(|browser| browser.press(Press::Enter));
        let text = self.browser.text();
        assert!(text.contains("4 routes of 28") && text.contains("depot-north"), "{text}");
        assert!(!text.contains("shop-cart"), "{text}");
    }

    /// What the last revision changed, of which a secret is a part.
    fn look_at_a_change(&mut self) {
        self.go("Revisions");
        self.browser.leave(|browser| browser.click("tbody a"));
        let text = self.browser.text();
        for part in ["consumers/alice", "/plugins/key-auth/key", "*** (changed)", "/labels"] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
        assert!(!text.contains(town::ALICE), "{text}");
        self.judge_page();
        self.shoot("revision");
    }

    /// Pictures of a page as it is seen in light, in dark and on a narrow screen, none like another.
    fn shoot(&mut self, name: &str) {
        let folder = std::env::var_os(SHOTS).map(PathBuf::from);
        let mut pictures = Vec::new();
        for (look, scheme, width, height) in [
            ("light", "light", 1400, 900),
            ("dark", "dark", 1400, 900),
            ("narrow", "light", 400, 900),
        ] {
            self.browser.prefer(scheme);
            self.browser.resize(width, height);
            pictures.push(self.browser.screenshot());
            if let Some(folder) = &folder {
                self.browser.screenshot_into(&folder.join(format!("dash-{name}-{look}.png")));
            }
        }
        assert!(pictures.iter().all(|picture| picture.starts_with(b"\x89PNG")));
        assert!(pictures[0] != pictures[1] && pictures[0] != pictures[2], "{name}");
        self.browser.resize(1400, 900);
        self.browser.prefer("light");
    }
}

#[test]
fn the_dashboard_is_there_unless_the_node_file_says_no() {
    for (dashboard, status) in
        [("", "303"), (", dashboard: true", "303"), (", dashboard: false", "401")]
    {
        let admin =
            format!("admin: {{ listen: \"127.0.0.1:0\", keys: keys, socket: sock{dashboard} }}\n");
        let bench =
            Bench::with(&[("bartizan.yaml", &(node("{ embedded: { path: store } }") + &admin))]);
        let serving = bench.serve(&["run"]);
        let answer = exchange(serving.admin.unwrap(), "/ui/", "");
        assert_eq!(status_of(&answer), status, "{dashboard}");
    }
}

#[test]
fn a_browser_signs_in_walks_every_page_by_the_keyboard_and_signs_out() {
    let mut scene = Scene::open();
    let key = scene.key("alice", "admin");
    town::be_refused(&scene.serving);
    scene.browser.resize(1400, 900);
    scene.sign_in("btz_admin_of_nobody");
    assert!(scene.browser.text().contains("This is not the key of an operator."));
    scene.judge_page();
    scene.shoot("sign-in");
    // The refusal of a wrong key is told by the browser too, and is no fault.
    scene.browser.complaints.retain(|told| !told.contains("status of 401"));
    scene.sign_in(&key);
    let expected = [
        (
            "Overview",
            vec!["ready", "Open to everyone", "alice", "admin", "Protections that routes lack"],
        ),
        (
            "Routes",
            vec![
                "shop-cart",
                "service shop",
                "any-authenticated",
                "none",
                "open",
                "<script>alert(1)</script>",
            ],
        ),
        ("Quarantine", vec!["routes/typo", "out of service", "key-atuh", "routes/bare"]),
        ("Revisions", vec!["consumers/alice", "a test"]),
        ("Denials", vec!["route.not_found", "consumer-restriction", "127.0.0.1"]),
        ("Upstreams", vec!["orders.internal:443", "not\u{a0}checked", "services/shop"]),
    ];
    for (name, texts) in expected {
        scene.go(name);
        let text = scene.browser.text();
        for part in texts {
            assert!(text.contains(part), "`{part}` is not on {name}:\n{text}");
        }
        assert!(!text.contains("do-not-show-this"), "{name}");
        scene.judge_page();
        scene.shoot(&name.to_lowercase());
    }
    scene.search();
    scene.look_at_a_change();
    scene.browser.leave(|browser| browser.click(".who button"));
    assert_eq!(scene.browser.evaluate("location.pathname"), "/ui/session");
    let home = scene.url("/ui/");
    scene.browser.open(&home);
    assert_eq!(scene.browser.evaluate("location.pathname"), "/ui/session");
    assert_eq!(scene.browser.complaints, Vec::<String>::new());
    let here = scene.url("/ui/");
    let elsewhere: Vec<&String> = scene
        .browser
        .requests
        .iter()
        .filter(|url| !url.starts_with(&here) && *url != "about:blank")
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(PAGES.len() == 6 && scene.serving.stop().success());
}
