//! The plugins that can stand inside: those that prove who calls, and only they.

use bartizan_chain::{AnswerHead, CompileCx, Flow, IdentityKey, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use crate::authenticate::{basic_auth, hmac_auth, http_signature, jwt_auth, key_auth, mtls_auth};

/// Makes the closed set of plugins that can stand inside: those whose credentials consumers have. It
/// leaves out the plugin around them, so that no future holds itself; a test sees that of those no
/// other is left out but `jwe-decrypt`, which proves nothing.
macro_rules! nested {
    ($( $variant:ident => $type:ty ),+ $(,)?) => {
        /// A compiled plugin inside of another.
        pub(super) enum Nested { $( $variant(Box<$type>), )+ }

        /// What it remembers for one request.
        #[derive(Default)]
        pub(super) enum NestedCall {
            #[default]
            Fresh,
            $( $variant(<$type as Plugin>::Call), )+
        }

        /// Their names.
        pub(super) const NAMES: &[&str] = &[ $( <$type as Plugin>::NAME, )+ ];

        impl Nested {
            /// Compiles a plugin; `None` if none of this name can stand inside.
            pub(super) fn compile(
                name: &str,
                config: &Value,
                cx: &CompileCx<'_>,
            ) -> Option<Result<Self, Invalid>> {
                $( if name == <$type as Plugin>::NAME {
                    return Some(compile::<$type>(config, cx).map(|p| Self::$variant(Box::new(p))));
                } )+
                None
            }

            pub(super) fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => <$type as Plugin>::NAME, )+ }
            }

            pub(super) fn traits(&self) -> Traits {
                match self { $( Self::$variant(plugin) => plugin.traits(), )+ }
            }

            /// Starts with an empty memory.
            pub(super) async fn authenticate(
                &self,
                cx: &mut RequestCx,
                key: &IdentityKey,
                memory: &mut NestedCall,
            ) -> Result<Flow, Denial> {
                match self { $( Self::$variant(plugin) => {
                    let mut call = <$type as Plugin>::Call::default();
                    let flow = plugin.authenticate(cx, key, &mut call).await;
                    *memory = NestedCall::$variant(call);
                    flow
                } )+ }
            }

            /// With the memory that `authenticate` filled.
            pub(super) async fn on_request(
                &self,
                stage: Stage,
                cx: &mut RequestCx,
                memory: &mut NestedCall,
            ) -> Result<Flow, Denial> {
                match (self, memory) {
                    $( (Self::$variant(plugin), NestedCall::$variant(call)) => {
                        plugin.on_request(stage, cx, call).await
                    } )+
                    _ => Ok(Flow::Continue),
                }
            }

            /// With the memory that `authenticate` filled.
            pub(super) fn on_response_head(
                &self,
                cx: &RequestCx,
                answer: &mut AnswerHead,
                memory: &mut NestedCall,
            ) -> Result<(), Denial> {
                match (self, memory) {
                    $( (Self::$variant(plugin), NestedCall::$variant(call)) => {
                        plugin.on_response_head(cx, answer, call)
                    } )+
                    _ => Ok(()),
                }
            }
        }

        /// The schema of an object with one of them.
        pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
            let mut properties = Map::new();
            $( {
                let name = <$type as Plugin>::NAME;
                let inside = generator.subschema_for::<<$type as Plugin>::Config>();
                properties.insert(name.to_owned(), described(name, inside));
            } )+
            json_schema!({
                "type": "object",
                "properties": properties,
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            })
        }
    };
}

nested! {
    Hmac => hmac_auth::HmacAuth,
    Basic => basic_auth::BasicAuth,
    Jwt => jwt_auth::JwtAuth,
    Key => key_auth::KeyAuth,
    Mtls => mtls_auth::MtlsAuth,
    Signature => http_signature::HttpSignature,
}

fn compile<P: Plugin>(config: &Value, cx: &CompileCx<'_>) -> Result<P, Invalid> {
    use serde::Deserialize as _;
    let config = P::Config::deserialize(config).map_err(|error| Invalid::new(error.to_string()))?;
    let mut inside = CompileCx {
        node: cx.node,
        resource: cx.resource,
        plugin: P::NAME,
        is_disabled: cx.is_disabled,
        metadata: None,
        has_consumer: cx.has_consumer,
        has_group: cx.has_group,
        proto: cx.proto,
        exposed: cx.exposed,
    };
    P::compile(config, &mut inside)
}

/// The schema of a plugin's configuration inside of another's: what it takes is said on the page
/// of that plugin.
fn described(name: &str, inside: Schema) -> Value {
    let mut schema = inside.to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".into(), format!("The configuration of `{name}`.").into());
        object.insert("x-plugin".into(), name.into());
    }
    schema
}
