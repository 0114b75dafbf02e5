//! The macros that declare options once, for reading and for documentation.
//! Invariant: a variable's name is its field's name in capitals, and its text is its doc comment.

/// Declares an options struct, how it is read, and how it is documented.
///
/// ```
/// use service_kit::options::{Bounded, KafkaOptions, Name, Secret, ServiceOptions};
///
/// service_kit::options! {
///     /// What this service reads from its environment.
///     pub struct Options {
///         groups {
///             service: ServiceOptions { admin_listen = "127.0.0.1:9101" },
///             kafka: KafkaOptions { kafka_group_id = "barograph-processor" },
///         }
///         /// Rows after which a batch is closed.
///         batch_rows: Bounded<1, 1_000_000> = "50000",
///         /// Topic for what could not be read; `DLQ_TOPIC` is its older name.
///         dead_letter_topic | dlq_topic: Name = "app-logs.dlq",
///         /// Must be set: there is no default.
///         signing_key: Secret,
///         /// May be absent.
///         region: Option<Name>,
///     }
/// }
///
/// let pairs = [("SIGNING_KEY".to_owned(), "s3cret".to_owned())];
/// let options = Options::from_pairs(pairs).unwrap();
/// assert_eq!(options.batch_rows.get(), 50_000);
/// assert!(Options::variables().iter().any(|variable| variable.name == "KAFKA_BROKERS"));
/// ```
///
/// `check path::to::function;` after the struct names a `fn(&Options, &mut Problems)` that looks at
/// options which must fit together. It runs when each of them is right by itself.
#[macro_export]
macro_rules! options {
    (
        $(#[doc = $outer:literal])*
        $visibility:vis struct $Options:ident {
            $(groups {
                $($group:ident : $Group:ty $({ $($over:ident = $text:literal),* $(,)? })?),* $(,)?
            })?
            $(
                $(#[doc = $about:literal])+
                $field:ident $(| $alias:ident)* : $Type:ty $(= $default:literal)?
            ),* $(,)?
        }
        $(check $check:path;)?
    ) => {
        $(#[doc = $outer])*
        #[derive(Debug, Clone)]
        $visibility struct $Options {
            $($(pub $group: $Group,)*)?
            $($(#[doc = $about])+ pub $field: $Type,)*
        }

        // The constant hides the imports from the place of use.
        const _: () = {
            // Options that are nothing but groups need only some of these.
            #[allow(unused_imports)]
            use $crate::options::{
                DefaultOverride, Environment, FieldValue, FromText, Group, Problems, Variable,
                default_of,
            };

            // A default for a field that the group does not have is an error of compilation.
            $($($($(const _: usize = ::core::mem::offset_of!($Group, $over);)*)?)*)?

            impl $Options {
                fn own_variables(defaults: &[DefaultOverride]) -> Vec<Variable> {
                    let _ = defaults;
                    vec![$(Variable {
                        name: stringify!($field).to_ascii_uppercase(),
                        aliases: vec![$(stringify!($alias).to_ascii_uppercase()),*],
                        default: default_of(
                            stringify!($field), defaults, None$(.or(Some($default)))?,
                        ).map(str::to_owned),
                        expected: <<$Type as FieldValue>::Value as FromText>::expected(),
                        about: concat!($($about, "\n"),+).trim(),
                        secret: <<$Type as FieldValue>::Value as FromText>::SECRET,
                        required: <$Type as FieldValue>::REQUIRED
                            && default_of(
                                stringify!($field), defaults, None$(.or(Some($default)))?,
                            ).is_none(),
                    }),*]
                }
            }

            impl Group for $Options {
                fn read(
                    environment: &Environment,
                    defaults: &[DefaultOverride],
                    problems: &mut Problems,
                ) -> Option<Self> {
                    let _ = defaults;
                    $($(let $group = <$Group as Group>::read(
                        environment,
                        &[$($((stringify!($over), $text)),*)?],
                        problems,
                    );)*)?
                    $(let $field = {
                        let name = stringify!($field).to_ascii_uppercase();
                        let aliases = [$(stringify!($alias).to_ascii_uppercase()),*];
                        let default = default_of(
                            stringify!($field), defaults, None$(.or(Some($default)))?,
                        );
                        let given = environment.text(&name, &aliases, problems);
                        given.ok().and_then(|given| {
                            <$Type as FieldValue>::read(given, &name, default, problems)
                        })
                    };)*
                    let options = Self { $($($group: $group?,)*)? $($field: $field?,)* };
                    $($check(&options, problems);)?
                    Some(options)
                }

                fn variables_with(defaults: &[DefaultOverride]) -> Vec<Variable> {
                    let mut variables = Vec::new();
                    $($(variables.extend(<$Group as Group>::variables_with(
                        &[$($((stringify!($over), $text)),*)?],
                    ));)*)?
                    variables.extend(Self::own_variables(defaults));
                    variables
                }
            }
        };

        impl $Options {
            /// Reads the process environment and `.env`; every problem at once if there is any.
            pub fn from_env() -> Result<Self, $crate::options::Problems> {
                $crate::options::Environment::of_process().read()
            }

            /// Reads exactly these variables.
            pub fn from_pairs(
                pairs: impl IntoIterator<Item = (String, String)>,
            ) -> Result<Self, $crate::options::Problems> {
                $crate::options::Environment::of_pairs(pairs).read()
            }

            /// Every variable that is read, with the defaults that count here.
            pub fn variables() -> Vec<$crate::options::Variable> {
                <Self as $crate::options::Group>::variables_with(&[])
            }
        }
    };
}

/// Declares an enum whose variants are the only right texts of an option, in any case of letters.
///
/// ```
/// service_kit::choice! {
///     /// Where a consumer starts.
///     pub enum Start { Earliest = "earliest", Latest = "latest" }
/// }
/// use service_kit::options::FromText;
/// assert_eq!(Start::from_text("LATEST"), Some(Start::Latest));
/// assert_eq!(Start::expected(), "earliest or latest");
/// ```
#[macro_export]
macro_rules! choice {
    (
        $(#[$outer:meta])*
        $visibility:vis enum $Choice:ident {
            $($(#[$inner:meta])* $Variant:ident = $text:literal),+ $(,)?
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $Choice { $($(#[$inner])* $Variant),+ }

        impl $Choice {
            /// The text as it is written in the environment.
            pub fn text(self) -> &'static str {
                match self { $(Self::$Variant => $text),+ }
            }
        }

        impl $crate::options::FromText for $Choice {
            fn expected() -> String {
                [$($text),+].join(" or ")
            }

            fn from_text(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($text) {
                    return Some(Self::$Variant);
                })+
                None
            }
        }
    };
}
