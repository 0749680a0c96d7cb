//! One macro for the numbered choices of the protocol, so that a number stands in exactly one place.

/// Declares a fieldless enum with fixed numbers. `closed` refuses other numbers when decoding; `open` keeps them
/// in `Other`, for lists that newer firmware may extend.
macro_rules! wire_enum {
    (@closed $(#[$meta:meta])* $name:ident : $repr:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal => $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every choice, in the order of its numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> $repr {
                match self { $(Self::$variant => $value),+ }
            }

            /// The choice with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: $repr) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// The name used in documents and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
    (@open $(#[$meta:meta])* $name:ident : $repr:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal => $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
            /// A number this version does not name.
            Other($repr),
        }

        impl $name {
            /// Every named choice, in the order of its numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> $repr {
                match self { $(Self::$variant => $value,)+ Self::Other(number) => number }
            }

            /// The choice with this number.
            #[must_use]
            pub const fn from_number(number: $repr) -> Self {
                match number { $($value => Self::$variant,)+ other => Self::Other(other) }
            }

            /// The name used in documents and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ Self::Other(_) => "other" }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    Self::Other(number) => write!(f, "other ({number})"),
                    named => f.write_str(named.label()),
                }
            }
        }
    };
}
