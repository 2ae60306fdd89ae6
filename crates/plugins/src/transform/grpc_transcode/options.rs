//! How messages are written as JSON.

use bartizan_config::Invalid;
use bartizan_protos::{Defaults, Style, Wide};
use schemars::JsonSchema;
use serde::Deserialize;

/// An option of how messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-answers" = {
    "use_default_metatable": "is refused: defaults that only code can see; use `no_default_values`",
    "enable_hooks": "is refused: it is code in the configuration"
}))]
pub(super) enum PbOption {
    /// Enums as their names (this is the default).
    EnumAsName,
    /// Enums as numbers.
    EnumAsValue,
    /// Numbers of 64 bits as numbers (this is the default).
    Int64AsNumber,
    /// Numbers of 64 bits as decimal digits in a string.
    Int64AsString,
    /// Numbers of 64 bits as `0x` and hexadecimal digits in a string.
    Int64AsHexstring,
    /// Fields of proto3 that are not there have their default (this is the default).
    AutoDefaultValues,
    /// Fields that are not there are left out.
    NoDefaultValues,
    /// Fields that are not there have their default, also those of proto2.
    UseDefaultValues,
    /// Nothing runs between message and JSON, which is always so.
    DisableHooks,
}

/// What decides together, of which one can be chosen.
#[derive(PartialEq, Eq)]
enum Group {
    Enums,
    Wide,
    Defaults,
    Hooks,
}

impl PbOption {
    fn group(self) -> Group {
        match self {
            Self::EnumAsName | Self::EnumAsValue => Group::Enums,
            Self::Int64AsNumber | Self::Int64AsString | Self::Int64AsHexstring => Group::Wide,
            Self::AutoDefaultValues | Self::NoDefaultValues | Self::UseDefaultValues => {
                Group::Defaults
            }
            Self::DisableHooks => Group::Hooks,
        }
    }
}

/// What some options come to.
pub(super) fn style(options: &[PbOption]) -> Result<Style, Invalid> {
    let mut style = Style::default();
    for (index, option) in options.iter().enumerate() {
        if options.iter().take(index).any(|other| other.group() == option.group()) {
            let problem = "another option before it decides the same";
            return Err(Invalid::at_item("pb_option", index, problem));
        }
        match option {
            PbOption::EnumAsName | PbOption::DisableHooks => {}
            PbOption::EnumAsValue => style.enums_as_numbers = true,
            PbOption::Int64AsNumber => style.wide = Wide::Number,
            PbOption::Int64AsString => style.wide = Wide::Text,
            PbOption::Int64AsHexstring => style.wide = Wide::Hex,
            PbOption::AutoDefaultValues => style.defaults = Defaults::Auto,
            PbOption::NoDefaultValues => style.defaults = Defaults::None,
            PbOption::UseDefaultValues => style.defaults = Defaults::All,
        }
    }
    Ok(style)
}
