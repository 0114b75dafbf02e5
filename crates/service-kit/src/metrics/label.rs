//! Labels with a closed set of values.
//! Invariant: `index` of a label is its place in the list of all combinations.

/// One label. [`labels!`](crate::labels) implements it for an enum.
pub trait Label: Copy + Send + Sync + 'static {
    const NAME: &'static str;
    const ALL: &'static [Self];

    fn value(self) -> &'static str;

    /// Place in `ALL`.
    fn index(self) -> usize;
}

/// The labels of a metric: none, one, or two.
pub trait Labels: Copy + Send + Sync + 'static {
    const NAMES: &'static [&'static str];
    /// Number of combinations.
    const COUNT: usize;

    /// Below `COUNT`, and different for different labels.
    fn index(self) -> usize;

    /// Values in the order of `NAMES`, for each combination in the order of `index`.
    fn combinations() -> Vec<Vec<&'static str>>;

    /// Each label's name with its values, for documentation.
    fn sets() -> Vec<(&'static str, Vec<&'static str>)>;
}

fn values<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|label| label.value()).collect()
}

impl Labels for () {
    const NAMES: &'static [&'static str] = &[];
    const COUNT: usize = 1;

    fn index(self) -> usize {
        0
    }

    fn combinations() -> Vec<Vec<&'static str>> {
        vec![Vec::new()]
    }

    fn sets() -> Vec<(&'static str, Vec<&'static str>)> {
        Vec::new()
    }
}

impl<L: Label> Labels for L {
    const NAMES: &'static [&'static str] = &[L::NAME];
    const COUNT: usize = L::ALL.len();

    fn index(self) -> usize {
        Label::index(self)
    }

    fn combinations() -> Vec<Vec<&'static str>> {
        values::<L>().into_iter().map(|value| vec![value]).collect()
    }

    fn sets() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![(L::NAME, values::<L>())]
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    const NAMES: &'static [&'static str] = &[A::NAME, B::NAME];
    const COUNT: usize = A::ALL.len() * B::ALL.len();

    fn index(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }

    fn combinations() -> Vec<Vec<&'static str>> {
        let of = |first: &'static str| {
            values::<B>()
                .into_iter()
                .map(move |second| vec![first, second])
        };
        values::<A>().into_iter().flat_map(of).collect()
    }

    fn sets() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![(A::NAME, values::<A>()), (B::NAME, values::<B>())]
    }
}

/// Declares an enum that is a label: `pub enum Ending as "ending" { Stored = "stored" }`.
#[macro_export]
macro_rules! labels {
    (
        $(#[$outer:meta])*
        $visibility:vis enum $Label:ident as $name:literal {
            $($(#[$inner:meta])* $Variant:ident = $value:literal),+ $(,)?
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $visibility enum $Label { $($(#[$inner])* $Variant),+ }

        impl $crate::metrics::Label for $Label {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$Variant),+];

            fn value(self) -> &'static str {
                match self { $(Self::$Variant => $value),+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
