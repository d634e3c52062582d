//! Headless Chromium, driven by WebDriver.

use std::process::Command;

use serde_json::{Value, json};

use crate::http::ask;
use crate::process::{Process, directory, eventually};

/// What Chromium is started with: no window, no sandbox as root, and nothing that looks for its maker's hosts.
const OPTIONS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A browser with one page.
pub(crate) struct Browser {
    address: String,
    session: String,
    _driver: Process,
}

impl Browser {
    pub(crate) fn start(name: &str) -> Self {
        let driver = Process::start(Command::new("chromedriver").arg("--port=0"), false);
        let port = driver.says("started successfully on port ");
        let address = format!("127.0.0.1:{}", port.trim_end_matches('.'));
        let profile = format!("--user-data-dir={}", directory(name).display());
        let mut options: Vec<&str> = OPTIONS.to_vec();
        options.push(&profile);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": options},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = command(&address, "POST", "/session", &wanted);
        Self {
            session: format!("/session/{}", session["sessionId"].as_str().expect("an id")),
            address,
            _driver: driver,
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        command(
            &self.address,
            method,
            &format!("{}{path}", self.session),
            body,
        )
    }

    pub(crate) fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({"url": url}));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// Waits until a script returns true.
    pub(crate) fn until(&self, script: &str) {
        eventually(script, || (self.run(script) == true).then_some(()));
    }

    fn element(&self, selector: &str) -> String {
        let found = json!({"using": "css selector", "value": selector});
        let found = self.command("POST", "/element", &found);
        let mut ids = found.as_object().expect("an element").values();
        format!(
            "/element/{}",
            ids.next().and_then(Value::as_str).expect("its id")
        )
    }

    /// Clicks as a user does: where the element is, if nothing lies above it.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("{element}/click"), &json!({}));
    }

    /// Types into an element.
    pub(crate) fn type_in(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command("POST", &format!("{element}/value"), &json!({"text": text}));
    }

    /// Looks as this wide and high, in light or dark.
    pub(crate) fn look_as(&self, width: u32, height: u32, scheme: &str) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// A picture of what is seen, as PNG in base64.
    pub(crate) fn screenshot(&self) -> String {
        let picture = self.devtools("Page.captureScreenshot", &json!({"format": "png"}));
        picture["data"].as_str().expect("a picture").to_owned()
    }

    fn devtools(&self, name: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        self.command("POST", "/goog/cdp/execute", &body)
    }

    /// What the page has complained of since it was last asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", &json!({"type": "browser"}));
        let log = log.as_array().expect("a log").iter();
        log.map(|entry| entry["message"].to_string()).collect()
    }
}

fn command(address: &str, method: &str, path: &str, body: &Value) -> Value {
    let (code, text) = ask(address, method, path, &body.to_string()).expect("the driver answers");
    let mut answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(code, 200, "{path} {body}: {text}");
    answer["value"].take()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Else Chromium would outlive its driver.
        let _ = ask(&self.address, "DELETE", &self.session, "");
    }
}
