//! The kit itself: what it promises to other tests, and that it fails where it should.

mod cases;
mod exchanges;
mod expectations;
mod time;

/// A public route.
const OPEN: &str = r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins: {anonymous-access: {reason: a test}}
"#;

/// A route for alice; bob is known too.
const GUARDED: &str = r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins:
    key-auth: {}
    consumer-restriction: {whitelist: [alice]}
consumers:
- {username: alice, plugins: {key-auth: {key: alice-key, danger_weak_secret: true}}}
- {username: bob, plugins: {key-auth: {key: bob-key, danger_weak_secret: true}}}
"#;
