//! Enums of Graph that grow: what is unknown today is kept as it came.

/// Declares a string enum that ends in `Other`.
///
/// Graph sends members that did not exist when this was written, and echoes some in other case
/// than it received them (Microsoft Learn, handling future members in evolvable enumerations).
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A value that was unknown when this was written.
            Other(String),
        }

        impl $name {
            /// The value as Graph writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $wire,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;

                // Reads the text where it stands: nothing is copied for a value that is known.
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a text")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<$name, E> {
                        $(if text.eq_ignore_ascii_case($wire) {
                            return Ok($name::$variant);
                        })*
                        Ok($name::Other(text.to_owned()))
                    }
                }

                from.deserialize_str(Visitor)
            }
        }
    };
}

pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    use crate::UserType;

    #[test]
    fn the_unknown_survives_and_case_does_not_matter() {
        for (json, kind, back) in [
            ("\"guest\"", UserType::Guest, "\"Guest\""),
            ("\"blue\"", UserType::Other("blue".into()), "\"blue\""),
        ] {
            let read: UserType = serde_json::from_str(json).unwrap();
            assert_eq!(read, kind);
            assert_eq!(serde_json::to_string(&read).unwrap(), back);
        }
    }
}
