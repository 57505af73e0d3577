//! Enums whose values have names in JSON, tables and queues.

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of_value:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$of_value])* $value,)*
        }

        impl $name {
            /// All values, as they are declared.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$value),*];

            /// The place in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The name in JSON, tables and queues.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            /// The value of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == name)
            }
        }
    };
}

pub(crate) use named;
