use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};

use contracts::{Anomaly, Severity, websocket::Filter};
use proptest::prelude::*;

use super::*;
use crate::anomalies::anomaly;

const CLIENTS: usize = 8;
const SERVICES: [&str; 4] = ["checkout", "payments", "search", "auth"];
const KINDS: [&str; 2] = ["rate_spike", "silence"];
const TEXTS: [&str; 4] = ["", "TEN", "ten", "nothing like it"];

#[derive(Debug, Clone)]
enum Step {
    Join(usize, Filter),
    Leave(usize),
    Listen(usize),
    Come(Box<Anomaly>),
    Begin,
}

fn some_of(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let one = (0..names.len()).prop_map(|at| names[at].to_owned());
    prop::collection::vec(one, 0..3)
}

fn filters() -> impl Strategy<Value = Filter> {
    let more = prop_oneof![3 => Just(0), 1 => Just(A_FEW)];
    let services = (some_of(&SERVICES), more).prop_map(|(mut services, more)| {
        services.extend((0..more).map(|number| format!("other-{number}")));
        services
    });
    (services, some_of(&KINDS), 0_usize..4, 0_usize..4).prop_map(
        |(services, kinds, severity, text)| Filter {
            services,
            kinds,
            min_severity: Severity::ALL[severity],
            text: TEXTS[text].to_owned(),
        },
    )
}

fn anomalies() -> impl Strategy<Value = Anomaly> {
    let service = 0..SERVICES.len();
    (service, some_of(&SERVICES), 0..KINDS.len(), 0_usize..4).prop_map(
        |(service, services, kind, severity)| Anomaly {
            service: SERVICES[service].to_owned(),
            services,
            kind: KINDS[kind].to_owned(),
            severity: Severity::ALL[severity],
            ..anomaly(1, 1)
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..CLIENTS;
    let step = prop_oneof![
        4 => (client.clone(), filters()).prop_map(|(client, filter)| Step::Join(client, filter)),
        1 => client.clone().prop_map(Step::Leave),
        6 => client.prop_map(Step::Listen),
        6 => anomalies().prop_map(|anomaly| Step::Come(Box::new(anomaly))),
        1 => Just(Step::Begin),
    ];
    prop::collection::vec(step, 0..60)
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client, and what is known of it without an index.
#[derive(Default)]
struct Client {
    waiter: Arc<Waiter>,
    joined: Option<(Arc<Matcher>, Filter)>,
    listens: bool,
    wakes: Arc<Wakes>,
    wakes_due: usize,
}

impl Client {
    fn hears(&mut self, wants: impl FnOnce(&Filter) -> bool) {
        let is_due = self.listens
            && self
                .joined
                .as_ref()
                .is_some_and(|(_, filter)| wants(filter));
        if is_due {
            self.wakes_due += 1;
            self.listens = false;
        }
    }

    fn leave(&mut self, listeners: &mut Listeners) {
        if let Some((matcher, _)) = self.joined.take() {
            listeners.leave(&matcher, &self.waiter);
        }
        self.waiter.stop_listening();
        self.listens = false;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn exactly_those_who_listen_and_whose_filter_matches_are_woken(steps in steps()) {
        let mut listeners = Listeners::default();
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::default()).collect();
        for (place, step) in (1..).zip(steps) {
            let mut called = Vec::new();
            match step {
                Step::Join(client, filter) => {
                    let client = &mut clients[client];
                    client.leave(&mut listeners);
                    let matcher = listeners.join(Matcher::new(filter.clone()), Arc::clone(&client.waiter));
                    client.joined = Some((matcher, filter));
                }
                Step::Leave(client) => clients[client].leave(&mut listeners),
                Step::Listen(client) => {
                    let client = &mut clients[client];
                    client.waiter.listen();
                    client.listens = true;
                    let waker = Waker::from(Arc::clone(&client.wakes));
                    let polled = client.waiter.poll_heard(&Context::from_waker(&waker));
                    prop_assert!(polled.is_pending());
                }
                Step::Come(anomaly) => {
                    listeners.call(place, &Facts::of(&anomaly), &mut called);
                    for client in &mut clients {
                        client.hears(|filter| filter.matches(&anomaly));
                    }
                }
                Step::Begin => {
                    listeners.call_everybody(place, &mut called);
                    for client in &mut clients {
                        client.hears(|_| true);
                    }
                }
            }
            for waiter in called {
                prop_assert_eq!(waiter.clear_until(), place);
                waiter.wake();
            }
            for client in &clients {
                prop_assert_eq!(client.wakes.0.load(Ordering::Relaxed), client.wakes_due);
                prop_assert_eq!(client.waiter.clear_until() == LISTENING, client.listens);
            }
        }
        for client in &mut clients {
            client.leave(&mut listeners);
        }
        prop_assert!(listeners.is_empty());
    }
}

#[test]
fn equal_filters_are_one_group_however_they_are_written() {
    let mut listeners = Listeners::default();
    let [one, same, other] = [
        r#"{"services":["a","b"],"text":"Refused"}"#,
        r#"{"services":["b","a","b"],"text":"refused"}"#,
        r#"{"services":["a"],"text":"refused"}"#,
    ]
    .map(|filter| {
        let matcher = Matcher::new(serde_json::from_str(filter).unwrap());
        listeners.join(matcher, Arc::default())
    });
    assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
}
