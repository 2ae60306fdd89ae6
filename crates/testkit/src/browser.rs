//! A browser for tests of pages: Chromium without a window, driven over its `DevTools` protocol.
//!
//! Messages go over two pipes, each ended by a zero byte. Nothing is waited for but messages: a test
//! that waits for what never comes is ended by its runner. The browser is told to reach no host but
//! this machine, to fetch nothing of itself, and to keep nothing.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the shell does: it opens the pipes where the browser looks for them, and becomes it.
const START: &str = "exec 3<\"$1\" 4>\"$2\"; shift 2; exec chromium \"$@\"";

/// What the browser is told.
const OPTIONS: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// A key of a keyboard.
#[derive(Clone, Copy, Debug)]
pub enum Press {
    /// To what comes next.
    Tab,
    /// Does what stands there.
    Enter,
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    last: u64,
    session: String,
    /// What was told and not looked at yet.
    events: VecDeque<Value>,
    /// The addresses that were asked for, and what was complained of, so far.
    pub requests: Vec<String>,
    /// What consoles and audits were told, problems of policies included.
    pub complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it with an empty page.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = profile.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let mut command = Command::new("sh");
        command.args(["-c", START, "sh"]).arg(&to).arg(&from).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().join("profile").display()));
        command.arg("about:blank").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        // In the order in which the shell opens its ends.
        let to = OpenOptions::new().write(true).open(to).unwrap();
        let from = BufReader::new(File::open(from).unwrap());
        let mut browser = Self {
            child,
            to,
            from,
            last: 0,
            session: String::new(),
            events: VecDeque::new(),
            requests: Vec::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        let page = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", &attach);
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Network", "Log", "Audits", "DOM", "Accessibility"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Asks for something, and waits for the answer.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let mut told = self.read();
            if told["id"] == self.last {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].take();
            }
            self.take(told);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    fn take(&mut self, event: Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requests.extend(params["request"]["url"].as_str().map(str::to_owned));
            }
            "Log.entryAdded" => self.complaints.push(params["entry"].to_string()),
            "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Audits.issueAdded" => {
                self.complaints.push(params.to_string());
            }
            _ => {}
        }
        self.events.push_back(event);
    }

    /// Waits for an event.
    fn wait(&mut self, method: &str) {
        loop {
            while let Some(event) = self.events.pop_front() {
                if event["method"] == method {
                    return;
                }
            }
            let event = self.read();
            self.take(event);
        }
    }

    /// Does something that leads to another page, and waits until that is there and drawn: what has
    /// the focus at first gets it when a page is drawn (HTML, "flush autofocus candidates").
    pub fn leave(&mut self, by: impl FnOnce(&mut Self)) {
        self.events.clear();
        by(self);
        self.wait("Page.loadEventFired");
        let frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))";
        self.evaluate(&format!("{frame}.then(() => 0)"));
    }

    /// Goes to an address.
    pub fn open(&mut self, url: &str) {
        self.leave(|browser| _ = browser.ask("Page.navigate", &json!({ "url": url })));
    }

    /// The value of an expression of JavaScript in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut told = self.ask("Runtime.evaluate", &params);
        assert!(told["exceptionDetails"].is_null(), "{expression}: {told}");
        told["result"]["value"].take()
    }

    /// The text of the page, as it is seen.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap().to_owned()
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.ask("Input.insertText", &json!({ "text": text }));
    }

    /// Presses a key.
    pub fn press(&mut self, key: Press) {
        let (name, code, text) = match key {
            Press::Tab => ("Tab", 9, "\t"),
            Press::Enter => ("Enter", 13, "\r"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({
                "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code,
            });
            if kind == "keyDown" {
                params["text"] = text.into();
            }
            self.ask("Input.dispatchKeyEvent", &params);
        }
    }

    /// Presses Tab until what is named so has the focus: in as many steps as there are places.
    pub fn tab_to(&mut self, text: &str) {
        let steps =
            self.evaluate("document.querySelectorAll('a,button,input,select,[tabindex]').length");
        for _ in 0..=steps.as_u64().unwrap() {
            self.press(Press::Tab);
            let named = self.evaluate(
                "(document.activeElement.innerText || document.activeElement.name || '').trim()",
            );
            if named == text {
                return;
            }
        }
        panic!("`{text}` is not reached by the keyboard on {}", self.evaluate("location.href"));
    }

    /// Clicks into the middle of the first element that a selector means.
    pub fn click(&mut self, selector: &str) {
        let expression = format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            json!(selector)
        );
        let place = self.evaluate(&expression);
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.ask("Input.dispatchMouseEvent", &params);
        }
    }

    /// Whether the page is to be light or dark.
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.ask("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// How large the page is seen.
    pub fn resize(&mut self, width: u32, height: u32) {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &params);
    }

    /// What is seen, as a PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let told = self.ask("Page.captureScreenshot", &json!({ "format": "png" }));
        STANDARD.decode(told["data"].as_str().unwrap()).unwrap()
    }

    /// The same, into a file.
    pub fn screenshot_into(&mut self, path: &Path) {
        let picture = self.screenshot();
        std::fs::write(path, picture).unwrap();
    }

    /// What somebody is told who does not see the page: role, name and level of everything.
    pub fn accessible(&mut self) -> Vec<Accessible> {
        let told = self.ask("Accessibility.getFullAXTree", &json!({}));
        let nodes = told["nodes"].as_array().unwrap();
        let shown = nodes.iter().filter(|node| node["ignored"] != true);
        shown
            .map(|node| {
                let text = |name: &str| node[name]["value"].as_str().unwrap_or_default().to_owned();
                let properties = node["properties"].as_array().into_iter().flatten();
                let level = properties.clone().find(|property| property["name"] == "level");
                let level = level.and_then(|level| level["value"]["value"].as_u64());
                Accessible { role: text("role"), name: text("name"), level }
            })
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A part of a page, as those are told of it who do not see it.
#[derive(Clone, Debug)]
pub struct Accessible {
    /// What it is, such as `link`.
    pub role: String,
    /// How it is called.
    pub name: String,
    /// Of headings: which.
    pub level: Option<u64>,
}
