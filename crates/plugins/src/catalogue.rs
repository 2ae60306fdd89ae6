//! The catalogue: one line registers a plugin everywhere.

/// Makes the closed set of plugins: the dispatch enum, the per-request memories, and the table
/// from names to schemas and compilers.
macro_rules! catalogue {
    ($( $variant:ident => $type:ty ),+ $(,)?) => {
        /// A compiled plugin; dispatch is a `match`, so that an allowed request boxes nothing.
        #[expect(clippy::large_enum_variant, reason = "held behind one Arc each")]
        pub enum AnyPlugin { $( #[doc = concat!("`", stringify!($variant), "`")] $variant($type), )+ }

        /// What a plugin remembers for one request.
        #[derive(Default)]
        pub enum AnyCall {
            /// The plugin has not run yet.
            #[default]
            Fresh,
            $( #[doc = concat!("`", stringify!($variant), "`")] $variant(<$type as Plugin>::Call), )+
        }

        impl PluginSet for AnyPlugin {
            type Call = AnyCall;

            fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => <$type as Plugin>::NAME, )+ }
            }

            fn priority(&self) -> i32 {
                match self { $( Self::$variant(_) => <$type as Plugin>::PRIORITY, )+ }
            }

            fn is_authentication(&self) -> bool {
                match self { $( Self::$variant(_) => <$type as Plugin>::IS_AUTHENTICATION, )+ }
            }

            fn traits(&self) -> Traits {
                match self { $( Self::$variant(plugin) => plugin.traits(), )+ }
            }

            fn owned_fields(&self) -> Vec<&[u8]> {
                match self { $( Self::$variant(plugin) => plugin.owned_fields(), )+ }
            }

            async fn authenticate(
                &self,
                cx: &mut RequestCx,
                key: &IdentityKey,
                call: &mut AnyCall,
            ) -> Result<Flow, Denial> {
                match self { $( Self::$variant(plugin) => {
                    let call = memory!(call, $variant, $type);
                    plugin.authenticate(cx, key, call).await
                } )+ }
            }

            async fn on_request(
                &self,
                stage: Stage,
                cx: &mut RequestCx,
                call: &mut AnyCall,
            ) -> Result<Flow, Denial> {
                match self { $( Self::$variant(plugin) => {
                    let call = memory!(call, $variant, $type);
                    plugin.on_request(stage, cx, call).await
                } )+ }
            }

            fn on_response_head(
                &self,
                cx: &RequestCx,
                answer: &mut AnswerHead,
                call: &mut AnyCall,
            ) -> Result<(), Denial> {
                match self { $( Self::$variant(plugin) => {
                    plugin.on_response_head(cx, answer, memory!(call, $variant, $type))
                } )+ }
            }

            fn mask(&self, view: &mut LogView<'_>) {
                match self { $( Self::$variant(plugin) => plugin.mask(view), )+ }
            }

            fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut AnyCall) {
                match self { $( Self::$variant(plugin) => {
                    plugin.on_finish(cx, outcome, memory!(call, $variant, $type));
                } )+ }
            }
        }

        /// Every plugin of the catalogue, in the order of the list.
        pub static CATALOGUE: std::sync::LazyLock<Vec<Entry>> =
            std::sync::LazyLock::new(|| vec![ $( entry::<$type>(AnyPlugin::$variant), )+ ]);
    };
}

/// The memory of one plugin inside the shared slot, made on first use.
macro_rules! memory {
    ($call:ident, $variant:ident, $type:ty) => {{
        if !matches!($call, AnyCall::$variant(_)) {
            *$call = AnyCall::$variant(<$type as Plugin>::Call::default());
        }
        match $call {
            AnyCall::$variant(memory) => memory,
            // Just assigned; the branch exists because a match must be whole.
            _ => unreachable!("the slot was filled above"),
        }
    }};
}

pub(crate) use {catalogue, memory};
