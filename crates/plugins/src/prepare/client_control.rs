//! Bounds the body of requests on a route, in place of the node's default.
//!
//! ```yaml
//! client-control:
//!   max_body_size: 4194304
//! ```
//!
//! Without it a body may have `limits.body` bytes. With it a route can allow less, or more, up to
//! the node's `limits.body_max`, which nothing on a route raises. A longer body that the request
//! declares (`Content-Length`) is refused before anything else is done for it, and before the
//! client is asked to send it; one that does not declare its length (chunked, HTTP/2) is cut off
//! where it grows over the bound, whether a plugin reads it or it streams to the upstream. What was
//! sent on until then the upstream has seen, as an incomplete message.
//!
//! Precedence: where several hold (a global rule, the route) the smallest does. On a consumer or a
//! group it can only lower what holds for the route, since by the time it is known who calls, the
//! declared length was judged. A plugin that reads the body reads at most its own bound, whatever
//! stands here. It runs first of all; in a global rule also where no route matches.
//!
//! # Headers
//!
//! `Content-Length` is read; nothing is set.
//!
//! # What it costs
//!
//! One comparison.
//!
//! # What it cannot do
//!
//! It counts the bytes on the wire: a compressed body may be larger where it is unpacked. What was
//! sent of a body that grows over the bound the upstream has seen, as an incomplete message.
//!
//! # How it differs from Apache APISIX
//!
//! `max_body_size` is required, and 0, which there lifts every limit, is refused.

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, ResourceKind};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of `client-control`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The largest body in bytes, at most the node's `limits.body_max`; over it 413.
    max_body_size: u64,
}

/// Compiled `client-control`.
pub struct ClientControl {
    max: u64,
    may_raise: bool,
}

impl Plugin for ClientControl {
    const NAME: &'static str = "client-control";
    const PRIORITY: i32 = 22_000;
    const KINSHIP: Kinship = Kinship::Different("0 is refused: no route lifts the bound");
    const STAGES: StageSet = StageSet::of(&[Stage::Prepare]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let (max, limit) = (config.max_body_size, cx.node.limits.body_max);
        let fault = |problem| {
            Err(Invalid::at("max_body_size", problem).with_help(format!("from 1 to {}", limit.0)))
        };
        if max == 0 {
            return fault("a limit of 0 bytes would be no limit".to_owned());
        }
        if max > limit.0 {
            return fault(format!("{max} bytes are more than `limits.body_max` allows"));
        }
        let is_of_caller = matches!(
            cx.resource.kind,
            ResourceKind::Consumer | ResourceKind::Credential | ResourceKind::ConsumerGroup
        );
        Ok(Self { max, may_raise: !is_of_caller })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Prepare])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let max = if self.may_raise { self.max } else { self.max.min(cx.body_max) };
        cx.bound_body(max);
        match cx.declared_length {
            Some(declared) if declared > self.max => {
                let detail = format!("{declared} bytes declared, over `max_body_size`");
                Err(Denial::new(Reason::BodyTooLarge, detail))
            }
            _ => Ok(Flow::Continue),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, request};

    fn plugin(max: u64) -> ClientControl {
        Bench::new().compile(&json!({"max_body_size": max})).unwrap()
    }

    fn admits(plugin: &ClientControl, cx: &mut RequestCx) -> bool {
        let mut call = ();
        let run = pin!(plugin.on_request(Stage::Prepare, cx, &mut call));
        match run.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(flow) => flow.is_ok(),
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    #[test]
    fn a_route_can_allow_more_than_the_default_but_not_more_than_the_node() {
        let mut cx = request("/", &[]);
        assert!(admits(&plugin(4_000_000), &mut cx));
        assert_eq!(cx.body_max, 4_000_000);
        let over = Bench::new().fault::<ClientControl>(&json!({"max_body_size": 67_108_865}));
        assert!(over.problem.contains("limits.body_max"), "{over}");
    }

    #[test]
    fn what_is_declared_is_judged_before_it_comes() {
        for (declared, expected) in [(None, true), (Some(10), true), (Some(11), false)] {
            let mut cx = request("/", &[]);
            cx.declared_length = declared;
            assert_eq!(admits(&plugin(10), &mut cx), expected, "{declared:?}");
        }
    }

    proptest! {
        #[test]
        fn of_several_bounds_the_smallest_holds(
            bounds in prop::collection::vec(1_u64..5_000_000, 1..4),
            of_caller in prop::option::of(1_u64..5_000_000),
        ) {
            let mut cx = request("/", &[]);
            for max in &bounds {
                prop_assert!(admits(&plugin(*max), &mut cx));
            }
            if let Some(max) = of_caller {
                let plugin = ClientControl { max, may_raise: false };
                prop_assert!(admits(&plugin, &mut cx));
            }
            let smallest = bounds.iter().chain(&of_caller).min().copied();
            prop_assert_eq!(Some(cx.body_max), smallest);
        }

        #[test]
        fn a_caller_alone_never_raises_the_default(max in 1_u64..5_000_000) {
            let mut cx = request("/", &[]);
            let before = cx.body_max;
            admits(&ClientControl { max, may_raise: false }, &mut cx);
            prop_assert_eq!(cx.body_max, before.min(max));
        }
    }
}
