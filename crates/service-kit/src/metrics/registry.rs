//! Registers metrics and writes them out.
//! Invariant: one name has one definition; registering it again gives the same numbers to add to.

use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder};

use super::describe::{Description, Kind};
use super::family::{CounterFamily, Family, GaugeFamily};
use super::label::Labels;
use super::{Counter, Gauge, Histogram, Unit};

/// The numbers of one metric, one for each combination of its labels.
pub struct Children<L, C> {
    children: Arc<[C]>,
    labels: PhantomData<fn(L)>,
}

pub type Counters<L = ()> = Children<L, prometheus::IntCounter>;
pub type Gauges<L = ()> = Children<L, prometheus::Gauge>;
pub type Histograms<L = ()> = Children<L, prometheus::Histogram>;

impl<L, C> Clone for Children<L, C> {
    fn clone(&self) -> Self {
        Self {
            children: Arc::clone(&self.children),
            labels: PhantomData,
        }
    }
}

impl<L: Labels, C> Children<L, C> {
    /// The number for these labels, without a lookup.
    pub fn at(&self, labels: L) -> &C {
        &self.children[labels.index()]
    }
}

/// A metric without labels is its one number.
impl<C> Deref for Children<(), C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.children[0]
    }
}

#[derive(Default)]
struct State {
    described: BTreeMap<&'static str, Description>,
    /// What was handed out, by name, to hand it out again.
    handles: BTreeMap<&'static str, Box<dyn Any + Send>>,
    problems: Vec<String>,
}

/// The metrics of one process. Clones are the same registry.
#[derive(Clone, Default)]
pub struct Registry {
    collectors: prometheus::Registry,
    state: Arc<Mutex<State>>,
}

impl Registry {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn counter<L: Labels>(&self, metric: &Counter<L>) -> Counters<L> {
        self.register(
            describe::<L>(metric.name, Kind::Counter, metric.unit, metric.help),
            |opts| IntCounterVec::new(opts, L::NAMES),
            children,
        )
    }

    pub fn gauge<L: Labels>(&self, metric: &Gauge<L>) -> Gauges<L> {
        self.register(
            describe::<L>(metric.name, Kind::Gauge, metric.unit, metric.help),
            |opts| GaugeVec::new(opts, L::NAMES),
            children,
        )
    }

    pub fn histogram<L: Labels>(&self, metric: &Histogram<L>) -> Histograms<L> {
        self.register(
            describe::<L>(metric.name, Kind::Histogram, metric.unit, metric.help),
            |opts| {
                let opts = HistogramOpts::from(opts).buckets(metric.buckets.to_vec());
                HistogramVec::new(opts, L::NAMES)
            },
            children,
        )
    }

    pub fn counter_family(&self, family: &CounterFamily) -> Family<prometheus::IntCounter> {
        self.register(
            describe_open(
                family.name,
                Kind::Counter,
                family.unit,
                family.help,
                family.label,
            ),
            |opts| IntCounterVec::new(opts, &[family.label]),
            |vec| Family::new(vec.clone(), family.most),
        )
    }

    pub fn gauge_family(&self, family: &GaugeFamily) -> Family<prometheus::Gauge> {
        self.register(
            describe_open(
                family.name,
                Kind::Gauge,
                family.unit,
                family.help,
                family.label,
            ),
            |opts| GaugeVec::new(opts, &[family.label]),
            |vec| Family::new(vec.clone(), family.most),
        )
    }

    fn register<V, H>(
        &self,
        description: Description,
        make: impl FnOnce(Opts) -> prometheus::Result<V>,
        hand_out: impl FnOnce(&V) -> H,
    ) -> H
    where
        V: Collector + Clone + 'static,
        H: Clone + Send + 'static,
    {
        let name = description.name;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let same_definition = state
            .described
            .get(name)
            .is_some_and(|known| *known == description);
        let known = state
            .handles
            .get(name)
            .and_then(|handle| handle.downcast_ref::<H>());
        if let (true, Some(handle)) = (same_definition, known) {
            return handle.clone();
        }
        #[expect(
            clippy::expect_used,
            reason = "names of metrics and labels, and buckets, were checked when the constant was compiled"
        )]
        let vec = make(Opts::new(name, description.help)).expect("a checked definition");
        let handle = hand_out(&vec);
        if state.described.contains_key(name) {
            // Counting goes on, unseen; `run` refuses to start with it.
            state
                .problems
                .push(format!("{name}: two different metrics have this name"));
            return handle;
        }
        if let Err(error) = self.collectors.register(Box::new(vec)) {
            state.problems.push(format!("{name}: {error}"));
        }
        state.described.insert(name, description);
        state.handles.insert(name, Box::new(handle.clone()));
        handle
    }

    /// The numbers as Prometheus reads them.
    pub fn encode(&self) -> String {
        let families = self.collectors.gather();
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            // Only a family without numbers is refused, and such are not gathered.
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }

    /// Every metric, by name.
    pub fn describe(&self) -> Vec<Description> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.described.values().cloned().collect()
    }

    /// Definitions that contradict each other. Empty in a right program.
    pub fn problems(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.problems.clone()
    }
}

fn describe<L: Labels>(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    help: &'static str,
) -> Description {
    Description {
        name,
        kind,
        unit,
        labels: L::sets(),
        help,
    }
}

fn describe_open(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    help: &'static str,
    label: &'static str,
) -> Description {
    Description {
        name,
        kind,
        unit,
        labels: vec![(label, Vec::new())],
        help,
    }
}

fn children<L: Labels, B: MetricVecBuilder>(vec: &MetricVec<B>) -> Children<L, B::M> {
    let children = L::combinations()
        .into_iter()
        .map(|values| vec.with_label_values(&values));
    Children {
        children: children.collect(),
        labels: PhantomData,
    }
}
